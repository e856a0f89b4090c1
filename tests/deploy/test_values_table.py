"""The README's table of values is that of values.yaml, and no value is without its meaning."""

from typing import Any

import yaml

from tests.support.helm import CHART
from tests.support.values_table import README, rows, with_table

VALUES = (CHART / "values.yaml").read_text(encoding="utf-8")


def leaves(value: Any, path: str = "") -> list[str]:
    if not isinstance(value, dict) or not value:
        return [path]
    return [leaf for key, inner in value.items() for leaf in leaves(inner, f"{path}.{key}" if path else key)]


def test_the_table_in_the_readme_is_up_to_date() -> None:
    page = README.read_text(encoding="utf-8")
    assert with_table(page, VALUES) == page, "run `make values-table`"


def test_every_value_is_explained_itself_or_with_its_block() -> None:
    explained = {row.key for row in rows(VALUES)}
    unexplained = [
        leaf
        for leaf in leaves(yaml.safe_load(VALUES))
        if not any(leaf == key or leaf.startswith(key + ".") for key in explained)
    ]
    assert unexplained == []

"""docs/adding-an-integration.md shows the whole of what a handler is."""

import ast
import inspect
import re
from pathlib import Path

from integration_dispatcher.handlers import base

GUIDE = (Path(__file__).parents[3] / "docs" / "adding-an-integration.md").read_text(encoding="utf-8")


def members_of(source: str) -> dict[str, str]:
    """What the class of a handler has: methods with their arguments and results, attributes without."""
    kinds = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.ClassDef)]
    [handler] = [each for each in kinds if each.name.endswith("IntegrationHandler")]
    found: dict[str, str] = {}
    for each in handler.body:
        if isinstance(each, ast.Assign):
            found |= dict.fromkeys(map(ast.unparse, each.targets), "")
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name != "__init__":
            is_attribute = bool(each.decorator_list)
            found[each.name] = (
                "" if is_attribute else f"{ast.unparse(each.args)} -> {ast.unparse(each.returns or each)}"
            )
    return found


def test_the_example_has_every_member_as_the_code_asks_for_it() -> None:
    [example] = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    assert members_of(example) == members_of(inspect.getsource(base.IntegrationHandler))


def test_every_outcome_of_a_delivery_is_named() -> None:
    outcomes = {name for name, each in vars(base).items() if inspect.isclass(each) and issubclass(each, Exception)}
    assert {name for name in outcomes if f"`{name}`" not in GUIDE} == set()

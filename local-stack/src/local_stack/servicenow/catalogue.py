"""The catalogue item of the stand-in, generated from the rules of the MCP server (data/catalogue.json)."""

from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Item(Frozen):
    """`variables`: as the Service Catalog API shows them."""

    sys_id: str
    name: str
    description: str
    variables: list[dict[str, Any]]

    def mandatory(self) -> list[str]:
        return [variable["name"] for variable in self.variables if variable["mandatory"]]


class Catalogue(Frozen):
    """`cycle_months` by device class: what the relative ages in people.yaml count in."""

    item: Item
    team: str
    cycle_months: dict[str, int]


@cache
def shipped_catalogue() -> Catalogue:
    text = (files("local_stack.servicenow") / "data" / "catalogue.json").read_text(encoding="utf-8")
    return Catalogue.model_validate_json(text)

"""Reads the rules that ship with the package: policy, offers, offices. Once per process."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from servicenow_mcp.domain.offers import Catalogue, Offices
from servicenow_mcp.domain.policy import Policy


@dataclass(frozen=True)
class Rules:
    policy: Policy
    catalogue: Catalogue
    offices: Offices


@cache
def shipped_rules() -> Rules:
    return Rules(
        policy=Policy.model_validate(_read("policy.yaml")),
        catalogue=Catalogue.model_validate(_read("offers.yaml")),
        offices=Offices.model_validate(_read("offices.yaml")),
    )


def _read(name: str) -> object:
    path = files("servicenow_mcp") / "data" / name
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def checkout() -> Path:
    """Return the root of the repository checkout this package runs from."""
    return Path(__file__).resolve().parents[4]

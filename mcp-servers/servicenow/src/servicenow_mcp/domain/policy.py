"""The laptop refresh policy as data: device classes and their cycles, who approves, the sections of the text."""

import re
from datetime import date

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PolicyData(BaseModel):
    """A part of the policy file. Unknown keys are refused, so that a misspelt rule is not silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DeviceClass(PolicyData):
    """A kind of laptop. `models`: parts of model names that belong to it."""

    label: str
    cycle_months: int = Field(ge=1, le=120)
    models: tuple[str, ...] = ()

    def names(self, model: str) -> bool:
        """True when a part of `model`, in whole words, is one of this class's names."""
        return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", model, re.IGNORECASE) for name in self.models)


class Approvals(PolicyData):
    eligible: str
    early: str
    fault: str


class Section(PolicyData):
    key: str
    heading: str
    text: str


class Step(PolicyData):
    heading: str
    text: str


class Policy(PolicyData):
    """Source: data/policy.yaml."""

    title: str
    effective_from: date
    approved_by: str
    team: str
    updates: str
    warranty_months: int = Field(ge=0)
    default_class: str
    classes: dict[str, DeviceClass]
    eligibility_section: str
    approvals: Approvals
    sections: tuple[Section, ...]
    process: tuple[Step, ...]

    @model_validator(mode="after")
    def check(self) -> "Policy":
        if self.default_class not in self.classes:
            raise ValueError(f"default_class {self.default_class!r} is not one of the classes")
        if self.eligibility_section not in {section.key for section in self.sections}:
            raise ValueError(f"eligibility_section {self.eligibility_section!r} is not one of the sections")
        return self

    def class_of(self, model: str) -> str:
        """Return the key of the class that a laptop of this model belongs to."""
        return next((key for key, kind in self.classes.items() if kind.names(model)), self.default_class)

    def cycle_months(self, model: str) -> int:
        return self.classes[self.class_of(model)].cycle_months

    def section_name(self, key: str) -> str:
        """Return how a section is cited: "Laptop refresh policy, section 3: Eligibility"."""
        number, section = next((n, s) for n, s in enumerate(self.sections, start=1) if s.key == key)
        return f"{self.title}, section {number}: {section.heading}"

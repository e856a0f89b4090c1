"""The knowledge documents about laptops, written from the rules. Pure: rules in, text out."""

from collections.abc import Iterable

from servicenow_mcp.domain.ages import MONTHS_PER_YEAR, day_text
from servicenow_mcp.domain.offers import Catalogue, LaptopModel, cost_text
from servicenow_mcp.domain.policy import Policy, Section
from servicenow_mcp.rules import Rules

FIELD_LABELS = {
    "manufacturer": "Manufacturer",
    "model": "Model",
    "target_user": "For",
    "os": "Operating system",
    "display_size": "Display",
    "resolution": "Resolution",
    "graphics": "Graphics",
    "minimum_storage": "Storage (minimum)",
    "weight": "Weight",
    "ports": "Ports",
    "minimum_processor": "Processor (minimum)",
    "minimum_memory": "Memory (minimum)",
    "dimensions": "Dimensions",
}


def knowledge_documents(rules: Rules) -> dict[str, str]:
    """Return the documents by file name."""
    return {
        "laptop-refresh-policy.md": policy_document(rules),
        "laptop-offers.md": offers_document(rules.catalogue),
        "laptop-refresh-process.md": process_document(rules),
    }


def policy_document(rules: Rules) -> str:
    facts = _facts(rules)
    sections = (_section(number, section, facts) for number, section in enumerate(rules.policy.sections, start=1))
    return _join(f"# {rules.policy.title}", *sections)


def offers_document(catalogue: Catalogue) -> str:
    return _join(
        "# Laptops on offer",
        "Which laptops can be ordered depends on the region of your office. Prices are paid by the company.",
        *(_region(catalogue, name) for name in catalogue.regions),
    )


def process_document(rules: Rules) -> str:
    facts = _facts(rules)
    steps = (
        f"## Step {number}: {step.heading}\n\n{step.text.format_map(facts).strip()}"
        for number, step in enumerate(rules.policy.process, start=1)
    )
    return _join("# How a laptop refresh works", *steps)


def _section(number: int, section: Section, facts: dict[str, str]) -> str:
    return f"## {number}. {section.heading}\n\n{section.text.format_map(facts).strip()}"


def _facts(rules: Rules) -> dict[str, str]:
    """What the policy's texts may name in braces."""
    policy = rules.policy
    return {
        "cycle_table": _cycle_table(policy),
        "cycle_sentence": ", ".join(f"{kind.cycle_months} months for {kind.label}" for kind in policy.classes.values()),
        "offers_list": _offers_list(rules.catalogue),
        "approvals_eligible": policy.approvals.eligible,
        "approvals_early": policy.approvals.early,
        "team": policy.team,
        "updates": policy.updates,
        "effective_from": day_text(policy.effective_from),
        "approved_by": policy.approved_by,
    }


def _cycle_table(policy: Policy) -> str:
    rows = (
        f"| {kind.label} | {cycle_text(kind.cycle_months)} | {', '.join(_readable(kind.models)) or 'all other models'} |"
        for kind in policy.classes.values()
    )
    return "\n".join(["| class | cycle | models |", "|---|---|---|", *rows])


def cycle_text(months: int) -> str:
    """Return a cycle for people: "36 months (3 years)", "30 months"."""
    if months % MONTHS_PER_YEAR:
        return f"{months} months"
    years = months // MONTHS_PER_YEAR
    return f"{months} months ({years} {'year' if years == 1 else 'years'})"


def _readable(models: Iterable[str]) -> list[str]:
    """Leave out names that only exist to match another way of writing a model."""
    return [model for model in models if "(" not in model]


def _offers_list(catalogue: Catalogue) -> str:
    lines = []
    for name, region in catalogue.regions.items():
        laptops = (catalogue.laptops[price.code] for price in region.offers)
        lines.append(f"- {name}: " + ", ".join(f"{laptop.model} ({laptop.target_user})" for laptop in laptops))
    return "\n".join(lines)


def _region(catalogue: Catalogue, name: str) -> str:
    region = catalogue.regions[name]
    parts = [f"## Offers in {name}", f"The prices are in {region.currency}."]
    for number, price in enumerate(region.offers, start=1):
        laptop = catalogue.laptops[price.code]
        fields = [f"- Cost: {cost_text(price.cost, region.currency)}", f"- Code: {price.code}", *_fields(laptop)]
        parts.append(f"### {name} {number}: {laptop.model}\n\n" + "\n".join(fields))
    return "\n\n".join(parts)


def _fields(laptop: LaptopModel) -> list[str]:
    return [f"- {label}: {getattr(laptop, field)}" for field, label in FIELD_LABELS.items()]


def _join(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"

from pathlib import Path

import pytest
from servicenow_mcp.documents import cycle_text, knowledge_documents, policy_document
from servicenow_mcp.domain.policy import Policy
from servicenow_mcp.generate import CATALOGUE_FILE, KNOWLEDGE_DIR, generated_files, main, outdated
from servicenow_mcp.rules import Rules, checkout, shipped_rules

RULES = shipped_rules()


def with_cycle(device_class: str, months: int) -> Rules:
    data = RULES.policy.model_dump()
    data["classes"][device_class]["cycle_months"] = months
    return Rules(Policy.model_validate(data), RULES.catalogue, RULES.offices)


def test_the_files_in_the_repository_are_up_to_date() -> None:
    assert outdated(generated_files(RULES), checkout()) == []


def test_no_stray_document_stands_beside_the_generated_ones() -> None:
    present = {path.name for path in (checkout() / KNOWLEDGE_DIR).iterdir()}
    assert present == set(knowledge_documents(RULES))


def test_the_policy_has_eight_numbered_sections() -> None:
    headings = [line for line in policy_document(RULES).splitlines() if line.startswith("## ")]
    assert [heading[3] for heading in headings] == list("12345678")
    assert headings[2] == "## 3. Eligibility"


@pytest.mark.parametrize(
    ("device_class", "label"), [("standard", "standard"), ("high-performance", "high-performance")]
)
def test_another_cycle_gives_another_text(device_class: str, label: str) -> None:
    text = policy_document(with_cycle(device_class, 47))
    assert f"47 months for {label} laptops" in text
    assert f"| {label} laptops | 47 months |" in text
    assert text != policy_document(RULES)


def test_another_cycle_makes_the_files_out_of_date() -> None:
    changed = with_cycle("standard", 48)
    assert outdated(generated_files(changed), checkout()) == [
        f"{KNOWLEDGE_DIR}/laptop-refresh-policy.md",
        CATALOGUE_FILE,
    ]


def test_no_cycle_is_written_into_the_source_text_by_hand() -> None:
    source = " ".join(section.text for section in RULES.policy.sections)
    for kind in RULES.policy.classes.values():
        assert f"{kind.cycle_months} months" not in source
        assert cycle_text(kind.cycle_months) not in source


def test_each_offer_stands_under_its_region_with_price_and_code() -> None:
    text = knowledge_documents(RULES)["laptop-offers.md"]
    emea = text.partition("## Offers in EMEA")[2].partition("## Offers in APAC")[0]
    assert "### EMEA 1: MacBook Air M2" in emea
    assert "- Cost: 1,299 EUR" in emea
    assert "- Code: lenovo_think_pad_p_16_gen_2" in emea
    assert "CNY" not in emea


def test_cycles_are_told_in_years_where_they_are_whole() -> None:
    assert [cycle_text(months) for months in (12, 24, 30)] == ["12 months (1 year)", "24 months (2 years)", "30 months"]


def test_check_fails_for_a_missing_file_and_passes_after_writing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert "out of date: " + CATALOGUE_FILE in capsys.readouterr().err
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0

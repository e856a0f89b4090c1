import pytest
from pydantic import ValidationError
from servicenow_mcp.domain.offers import Catalogue, cost_text
from servicenow_mcp.results import LaptopOption
from servicenow_mcp.rules import shipped_rules

RULES = shipped_rules()
PRICES = {
    "NA": ("USD", [1199, 1999, 1399, 2499]),
    "EMEA": ("EUR", [1299, 3299, 1380, 2650]),
    "APAC": ("CNY", [11000, 15000, 10000, 18000]),
    "LATAM": ("USD", [1250, 1999, 1399, 2100]),
}


def test_four_regions_have_four_offers_each_of_thirteen_laptops() -> None:
    assert set(RULES.catalogue.regions) == set(PRICES)
    assert all(len(region.offers) == 4 for region in RULES.catalogue.regions.values())
    assert len(RULES.catalogue.laptops) == 13
    assert "apple_mac_book_air_m_3" in RULES.catalogue.laptops


@pytest.mark.parametrize("name", PRICES)
def test_prices_and_currencies_are_those_of_the_region(name: str) -> None:
    region = RULES.catalogue.regions[name]
    assert (region.currency, [price.cost for price in region.offers]) == PRICES[name]


def test_an_option_has_its_number_and_fifteen_fields() -> None:
    assert len(set(LaptopOption.model_fields) - {"number"}) == 15


def test_prices_are_told_with_their_currency() -> None:
    assert cost_text(11000, "CNY") == "11,000 CNY"


def test_an_offer_without_a_laptop_is_refused() -> None:
    data = RULES.catalogue.model_dump()
    data["laptops"].pop("apple_mac_book_air_m_3")
    with pytest.raises(ValidationError, match="apple_mac_book_air_m_3"):
        Catalogue.model_validate(data)


@pytest.mark.parametrize(
    ("office", "country", "region"),
    [
        ("London", "", "EMEA"),
        ("  tokyo ", "", "APAC"),
        ("Sao Paulo", "", "LATAM"),
        ("São Paulo", "", "LATAM"),
        ("Raleigh", "United States", "NA"),
        ("Ulm", "Germany", "EMEA"),
        ("Singapore", "", "APAC"),
        ("EMEA", "", "EMEA"),
        ("France", "", "EMEA"),
        ("Atlantis", "", None),
        ("Atlantis", "Utopia", None),
        ("", "", None),
    ],
)
def test_the_region_follows_from_the_office_else_from_the_country(
    office: str, country: str, region: str | None
) -> None:
    assert RULES.offices.region_of(office, country) == region


def test_no_place_stands_in_two_regions() -> None:
    for places in (RULES.offices.offices, RULES.offices.countries):
        names = [name for listed in places.values() for name in listed]
        assert len(set(names)) == len(names)
        assert set(places) == set(RULES.catalogue.regions)

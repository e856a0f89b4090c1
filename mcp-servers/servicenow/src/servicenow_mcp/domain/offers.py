"""The laptops on offer, by region, and the region of an office."""

import unicodedata
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator


class CatalogueData(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LaptopModel(CatalogueData):
    """Thirteen of the fifteen fields of an offer; the others are its code and its cost."""

    manufacturer: str
    model: str
    target_user: str = Field(pattern="^(office|developer|engineer)$")
    os: str
    display_size: str
    resolution: str
    graphics: str
    minimum_storage: str
    weight: str
    ports: str
    minimum_processor: str
    minimum_memory: str
    dimensions: str


class Price(CatalogueData):
    """`cost`: whole units of the region's currency."""

    code: str = Field(pattern="^[a-z0-9_]{1,64}$")
    cost: int = Field(gt=0)


class Region(CatalogueData):
    currency: str = Field(pattern="^[A-Z]{3}$")
    offers: tuple[Price, ...]


class CatalogueItem(CatalogueData):
    """The item of ServiceNow's service catalogue by which a refresh is ordered."""

    sys_id: str = Field(pattern="^[0-9a-f]{32}$")
    name: str
    description: str


class Catalogue(CatalogueData):
    """Source: data/offers.yaml. `laptops` by catalogue code, `regions` by name."""

    item: CatalogueItem
    laptops: dict[str, LaptopModel]
    regions: dict[str, Region]

    @model_validator(mode="after")
    def check(self) -> "Catalogue":
        offered = {price.code for region in self.regions.values() for price in region.offers}
        if offered != set(self.laptops):
            raise ValueError(f"offers and laptops differ: {sorted(offered ^ set(self.laptops))}")
        return self


class Offices(CatalogueData):
    """Source: data/offices.yaml. Both map a region's name to names of places."""

    offices: dict[str, tuple[str, ...]]
    countries: dict[str, tuple[str, ...]]

    def region_of(self, office: str, country: str = "") -> str | None:
        """Return the region of an office by its name, else by its country; None when neither is known."""
        by_name = {
            **_by_place(self.countries),
            **{_plain(name): name for name in self.offices},
            **_by_place(self.offices),
        }
        return by_name.get(_plain(office)) or _by_place(self.countries).get(_plain(country))


def cost_text(cost: int, currency: str) -> str:
    """Return a price for people: "1,299 EUR"."""
    return f"{cost:,} {currency}"


def _by_place(places: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {_plain(name): region for region, names in places.items() for name in names}


def _plain(name: str) -> str:
    """Return a name without accents, case and doubled spaces, so that "Sao Paulo" finds "São Paulo"."""
    letters = unicodedata.normalize("NFKD", name)
    return " ".join("".join(char for char in letters if not unicodedata.combining(char)).casefold().split())

"""The five things a person can have done: the facts of ServiceNow and the rules of the policy put together.

Who acts comes from the signed token, never from an argument."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from shared_models.tokens import Identity

from servicenow_mcp.backend import Backend
from servicenow_mcp.domain.ages import age_in_months, age_text
from servicenow_mcp.domain.eligibility import decide
from servicenow_mcp.domain.laptops import Laptop, warranty_expiry, warranty_status
from servicenow_mcp.domain.offers import cost_text
from servicenow_mcp.errors import NotConfirmed, Refusal
from servicenow_mcp.orders import OrderBook, Placed, RefreshOrder
from servicenow_mcp.records import Employee, RequestItem
from servicenow_mcp.results import (
    EligibilityCard,
    EmployeeCard,
    LaptopCard,
    LaptopOption,
    LaptopOptions,
    MyLaptops,
    OpenTicket,
    OpenTickets,
    RefreshTicket,
)
from servicenow_mcp.rules import Rules


@dataclass(frozen=True)
class Desk:
    """`today` gives the date on which rules are applied. Each method raises Refusal or ServiceNowFault."""

    backend: Backend
    orders: OrderBook
    rules: Rules
    today: Callable[[], date]

    async def laptops(self, caller: Identity) -> MyLaptops:
        person = await self.backend.employee(caller.email)
        laptops = await self.backend.laptops(person)
        if not laptops:
            raise Refusal("ServiceNow has no laptop assigned to you.", "no laptop")
        return MyLaptops(employee=self._employee_card(person), laptops=[self._laptop_card(each) for each in laptops])

    async def eligibility(self, caller: Identity, serial_number: str | None) -> EligibilityCard:
        person = await self.backend.employee(caller.email)
        laptop = pick(await self.backend.laptops(person), serial_number)
        if laptop.purchase_date is None:
            raise Refusal(
                f"ServiceNow has no purchase date for your {laptop.model} (serial number {laptop.serial_number}), so I "
                "cannot say whether it may be replaced. Please ask the service desk to add it.",
                "no purchase date",
            )
        verdict = decide(self.rules.policy, laptop, laptop.purchase_date, self.today())
        return EligibilityCard(
            serial_number=laptop.serial_number,
            model=laptop.model,
            eligible=verdict.is_eligible,
            age_months=verdict.age_months,
            age_text=age_text(verdict.age_months),
            cycle_months=verdict.cycle_months,
            eligible_from=verdict.eligible_from,
            verdict=verdict.verdict,
            policy_section=verdict.policy_section,
            approval_note=verdict.approval_note,
        )

    async def options(self, caller: Identity) -> LaptopOptions:
        return self._options(await self.backend.employee(caller.email))

    async def open_ticket(
        self, caller: Identity, laptop_code: str, justification: str, serial_number: str | None
    ) -> RefreshTicket:
        """Order a laptop. The same confirmation, and a laptop with an open refresh, give the ticket that is there."""
        if not caller.intent:
            raise NotConfirmed("I need your confirmation first, then I can open the ticket.", "no intent in the token")
        person = await self.backend.employee(caller.email)
        if (done := await self.orders.placed_by(person, caller.intent)) is not None:
            return self._ticket(done)
        laptop = pick(await self.backend.laptops(person), serial_number)
        if not laptop.serial_number:
            raise Refusal(
                f"ServiceNow has no serial number for your {laptop.model}. Please ask the service desk to add it first.",
                "no serial number",
            )
        offered = {option.code: option for option in self._options(person).options}
        if laptop_code not in offered:
            names = ", ".join(f"{option.model} ({code})" for code, option in offered.items())
            raise Refusal(f"That laptop is not offered in your region. You can choose one of these: {names}.", "code")
        order = RefreshOrder(person, laptop, laptop_code, justification.strip(), caller.intent)
        return self._ticket(await self.orders.place(order))

    async def open_tickets(self, caller: Identity) -> OpenTickets:
        person = await self.backend.employee(caller.email)
        return OpenTickets(tickets=[_open_ticket(item) for item in await self.backend.open_items(person)])

    def _options(self, person: Employee) -> LaptopOptions:
        name = self.rules.offices.region_of(person.location, person.country)
        if name is None:
            place = f'your office "{person.location}"' if person.location else "an office for you"
            raise Refusal(
                f"I cannot tell which region {place} belongs to, so I do not know which laptops you can choose. "
                "Please ask the service desk to correct your location in ServiceNow.",
                "unknown office",
            )
        region = self.rules.catalogue.regions[name]
        options = [
            LaptopOption(
                number=number,
                code=price.code,
                cost=cost_text(price.cost, region.currency),
                **self.rules.catalogue.laptops[price.code].model_dump(),
            )
            for number, price in enumerate(region.offers, start=1)
        ]
        return LaptopOptions(region=name, currency=region.currency, options=options)

    def _employee_card(self, person: Employee) -> EmployeeCard:
        region = self.rules.offices.region_of(person.location, person.country)
        return EmployeeCard(name=person.name, email=person.email, location=person.location, region=region or "")

    def _laptop_card(self, laptop: Laptop) -> LaptopCard:
        today = self.today()
        age = None if laptop.purchase_date is None else age_in_months(laptop.purchase_date, today)
        expiry = warranty_expiry(laptop, self.rules.policy.warranty_months)
        return LaptopCard(
            name=laptop.name,
            model=laptop.model,
            serial_number=laptop.serial_number,
            asset_tag=laptop.asset_tag,
            device_class=self.rules.policy.class_of(laptop.model),
            purchase_date=laptop.purchase_date,
            age_months=age,
            age_text="unknown" if age is None else age_text(age),
            warranty_expiry=expiry,
            warranty_status=warranty_status(expiry, today),
        )

    def _ticket(self, placed: Placed) -> RefreshTicket:
        chosen = self.rules.catalogue.laptops.get(placed.laptop_code)
        return RefreshTicket(
            status=placed.status,
            ticket_number=placed.number,
            sys_id=placed.request_id,
            laptop_code=placed.laptop_code,
            model=chosen.model if chosen else placed.laptop_code,
            serial_number=placed.serial_number,
            team=placed.team or self.rules.policy.team,
            state=placed.state,
            opened_at=placed.opened_at,
            updates=self.rules.policy.updates,
        )


def pick(laptops: list[Laptop], serial_number: str | None) -> Laptop:
    """Return the laptop that is meant: the named one, or the only one.

    A serial number of somebody else reads the same as one that does not exist. Raises Refusal."""
    if not laptops:
        raise Refusal("ServiceNow has no laptop assigned to you.", "no laptop")
    wanted = (serial_number or "").strip().casefold()
    if wanted:
        found = [laptop for laptop in laptops if laptop.serial_number.casefold() == wanted]
        if len(found) != 1:
            raise Refusal("You have no laptop with that serial number. " + _which(laptops), "serial number not theirs")
        return found[0]
    if len(laptops) > 1:
        raise Refusal("You have several laptops. " + _which(laptops), "several laptops")
    return laptops[0]


def _which(laptops: list[Laptop]) -> str:
    names = "; ".join(f"{laptop.model}, serial number {laptop.serial_number}" for laptop in laptops)
    return f"Please name one by its serial number: {names}."


def _open_ticket(item: RequestItem) -> OpenTicket:
    return OpenTicket(
        ticket_number=item.request_number or item.number,
        short_description=item.short_description,
        state=item.state,
        stage=item.stage,
        opened_at=item.opened_at,
        laptop_code=item.laptop_code or None,
    )

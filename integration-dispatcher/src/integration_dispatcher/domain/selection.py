"""Which integrations an answer goes to: defaults, overrides, and the wish of the request. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from shared_models.enums import IntegrationType
from shared_models.schemas import DeliveryWish

type Source = Literal["environment", "administrator", "user"]
NEAREST_FIRST: dict[Source, int] = {"user": 0, "administrator": 1, "environment": 2}

NOT_HERE = "This integration does not exist here."
SWITCHED_OFF = "This integration is switched off."
NOT_SET_UP = "This integration is not set up."
STOPPED = "Stopped by you: text START from your phone to go on."
NOT_VERIFIED = "The address has not been verified yet."


@dataclass(frozen=True)
class Defaults:
    """Base values of one integration: the handler's, changed by the environment. `priority`: the lowest number is first."""

    enabled: bool
    priority: int
    retry_count: int
    retry_delay_s: float


@dataclass(frozen=True)
class Layer:
    """What an administrator or a person has set. None: whatever lies below."""

    enabled: bool | None = None
    priority: int | None = None
    retry_count: int | None = None
    retry_delay_s: float | None = None


@dataclass(frozen=True)
class Effective:
    """What holds for one person and integration. `is_set_up`: it knows where to deliver; `is_verified`: the person has proven
    that the address is theirs. `source`: the uppermost layer. `disabled_reason`: why we have switched it off; empty when
    the person or an administrator did."""

    integration: IntegrationType
    enabled: bool
    priority: int
    retry_count: int
    retry_delay_s: float
    is_set_up: bool = True
    is_verified: bool = True
    source: Source = "environment"
    is_stopped: bool = False
    disabled_reason: str = ""

    @property
    def refusal(self) -> str:
        """Why nothing can be delivered to the person's own address, in words for them; empty if it can."""
        if not self.enabled:
            return self.disabled_reason or SWITCHED_OFF
        if not self.is_set_up:
            return NOT_SET_UP
        if not self.is_verified:
            return NOT_VERIFIED
        return STOPPED if self.is_stopped else ""

    @property
    def refusal_of_origin(self) -> str:
        """Why nothing can go back to where the person has just written from: that address needs no setting and no proof."""
        return "" if self.enabled else SWITCHED_OFF


@dataclass(frozen=True)
class Refused:
    integration: IntegrationType
    reason: str


@dataclass(frozen=True)
class Choice:
    """`chain`: where to deliver, in order. `refused`: what was asked for by name and cannot be."""

    chain: tuple[IntegrationType, ...] = ()
    refused: tuple[Refused, ...] = ()


def effective(
    integration: IntegrationType,
    base: Defaults,
    *,
    administrator: Layer | None = None,
    user: Layer | None = None,
    is_set_up: bool = True,
    is_verified: bool = True,
    is_stopped: bool = False,
) -> Effective:
    """The administrator's values win over the base, the person's over both."""
    enabled, priority = base.enabled, base.priority
    retry_count, retry_delay_s = base.retry_count, base.retry_delay_s
    for layer in (administrator, user):
        if layer is None:
            continue
        enabled = enabled if layer.enabled is None else layer.enabled
        priority = priority if layer.priority is None else layer.priority
        retry_count = retry_count if layer.retry_count is None else layer.retry_count
        retry_delay_s = retry_delay_s if layer.retry_delay_s is None else layer.retry_delay_s
    source: Source = "user" if user else "administrator" if administrator else "environment"
    return Effective(
        *(integration, enabled, priority, retry_count, retry_delay_s, is_set_up, is_verified, source, is_stopped)
    )


def choose(wish: DeliveryWish, origin: IntegrationType, known: Sequence[Effective]) -> Choice:
    """Where an answer goes. `origin`: where its request came from; `known`: every integration that has a handler."""
    if wish.mode == "preferred":
        usable = [each for each in known if not each.refusal]
        return Choice(tuple(each.integration for each in sorted(usable, key=by_priority)))
    asked = [origin] if wish.mode == "origin" else list(dict.fromkeys(wish.targets))
    by_type = {each.integration: each for each in known}
    is_origin = wish.mode == "origin"
    refusals = {each: _refusal(by_type.get(each), is_origin=is_origin) for each in asked}
    return Choice(
        chain=tuple(each for each in asked if not refusals[each]),
        refused=tuple(Refused(each, refusals[each]) for each in asked if refusals[each]),
    )


def _refusal(each: Effective | None, *, is_origin: bool) -> str:
    if each is None:
        return NOT_HERE
    return each.refusal_of_origin if is_origin else each.refusal


def by_priority(each: Effective) -> tuple[int, int, str]:
    """The key to sort by. Of equal numbers, what the person has set comes before what others have set for everybody."""
    return each.priority, NEAREST_FIRST[each.source], each.integration.value

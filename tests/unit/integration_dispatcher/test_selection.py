"""Which integrations an answer goes to, for every mix of layers and wishes."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from integration_dispatcher.domain.selection import Defaults, Effective, Layer, choose, effective
from shared_models.enums import DELIVERY_INTEGRATIONS, DeliveryPolicy, IntegrationType
from shared_models.schemas import DeliveryWish

WEBHOOK, TEST, SLACK = IntegrationType.WEBHOOK, IntegrationType.TEST, IntegrationType.SLACK
BASE = Defaults(enabled=True, priority=3, retry_count=9, retry_delay_s=5)

types = st.sampled_from(DELIVERY_INTEGRATIONS)
layers = st.none() | st.builds(
    Layer,
    enabled=st.none() | st.booleans(),
    priority=st.none() | st.integers(1, 100),
    retry_count=st.none() | st.integers(0, 10),
    retry_delay_s=st.none() | st.floats(0, 3600),
)
bases = st.builds(
    Defaults,
    enabled=st.booleans(),
    priority=st.integers(1, 100),
    retry_count=st.integers(0, 10),
    retry_delay_s=st.floats(0, 3600),
)
known = st.lists(
    st.builds(
        Effective,
        integration=types,
        enabled=st.booleans(),
        priority=st.integers(1, 3),
        retry_count=st.just(0),
        retry_delay_s=st.just(0.0),
        is_set_up=st.booleans(),
        is_verified=st.booleans(),
    ),
    unique_by=lambda each: each.integration,
)
wishes = st.builds(
    DeliveryWish,
    mode=st.sampled_from(["preferred", "targets", "origin"]),
    targets=st.lists(types, max_size=6),
    policy=st.sampled_from(DeliveryPolicy),
)


@given(bases, layers, layers, st.booleans())
def test_each_value_comes_from_the_uppermost_layer_that_has_one(
    base: Defaults, administrator: Layer | None, user: Layer | None, is_set_up: bool
) -> None:
    found = effective(TEST, base, administrator=administrator, user=user, is_set_up=is_set_up)
    for name in ("enabled", "priority", "retry_count", "retry_delay_s"):
        given_values = [getattr(layer, name) for layer in (user, administrator) if layer is not None]
        expected = next((value for value in given_values if value is not None), getattr(base, name))
        assert getattr(found, name) == expected
    assert found.source == ("user" if user else "administrator" if administrator else "environment")


@given(bases, layers)
def test_a_disabled_override_disables(base: Defaults, administrator: Layer | None) -> None:
    assert effective(TEST, base, administrator=administrator, user=Layer(enabled=False)).refusal != ""


@given(wishes, types, known)
def test_only_what_is_on_and_set_up_is_used_and_only_once(
    wish: DeliveryWish, origin: IntegrationType, integrations: list[Effective]
) -> None:
    choice = choose(wish, origin, integrations)
    # Back to where somebody has just written from needs no setting and no proof.
    is_origin = wish.mode == "origin"
    usable = {
        each.integration
        for each in integrations
        if each.enabled and (is_origin or (each.is_set_up and each.is_verified))
    }
    assert set(choice.chain) <= usable
    assert len(set(choice.chain)) == len(choice.chain)
    assert not set(choice.chain) & {each.integration for each in choice.refused}
    assert all(each.reason for each in choice.refused)


@given(wishes, types, known)
def test_what_is_asked_for_by_name_is_used_in_that_order_or_refused(
    wish: DeliveryWish, origin: IntegrationType, integrations: list[Effective]
) -> None:
    choice = choose(wish, origin, integrations)
    named = {"preferred": [], "origin": [origin], "targets": wish.targets}[wish.mode]
    if wish.mode == "preferred":
        assert choice.refused == ()
        return
    assert {*choice.chain, *(each.integration for each in choice.refused)} == set(named)
    assert list(choice.chain) == [each for each in dict.fromkeys(named) if each in choice.chain]


@given(known)
def test_preferred_takes_everything_usable_lowest_number_first(integrations: list[Effective]) -> None:
    chain = choose(DeliveryWish(mode="preferred"), TEST, integrations).chain
    priority = {each.integration: each.priority for each in integrations}
    assert set(chain) == {each.integration for each in integrations if not each.refusal}
    assert [priority[each] for each in chain] == sorted(priority[each] for each in chain)


@given(layers)
def test_of_equal_numbers_what_the_person_has_set_comes_first(administrator: Layer | None) -> None:
    """Slack's default is 1, and so is what the pages say to set for another one to come first."""
    slack = effective(
        SLACK,
        replace(BASE, priority=1),
        administrator=replace(administrator, enabled=True, priority=1) if administrator else None,
    )
    own = effective(WEBHOOK, BASE, user=Layer(priority=1))
    for integrations in ([slack, own], [own, slack]):
        assert choose(DeliveryWish(mode="preferred"), TEST, integrations).chain == (WEBHOOK, SLACK)


def test_the_reasons_say_what_to_do() -> None:
    integrations = [
        effective(WEBHOOK, BASE, is_set_up=False),
        effective(TEST, BASE, user=Layer(enabled=False)),
    ]
    choice = choose(DeliveryWish(mode="targets", targets=[WEBHOOK, TEST, SLACK]), TEST, integrations)
    assert [each.reason for each in choice.refused] == [
        "This integration is not set up.",
        "This integration is switched off.",
        "This integration does not exist here.",
    ]

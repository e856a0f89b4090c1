"""When a delivery is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from integration_dispatcher.domain.schedule import GiveUp, Schedule, TryAgain, next_step
from integration_dispatcher.handlers.webhook import WebhookIntegrationHandler

WEBHOOK = WebhookIntegrationHandler.schedule
BASE = WebhookIntegrationHandler.defaults
HOUR_S = 3600
LONG_S = 10.0**9


def delays(chance: float, *, left_s: float = LONG_S) -> list[float]:
    """The delays before each retry of a webhook that always fails."""
    found: list[float] = []
    for failures in range(1, 100):
        step = next_step(
            WEBHOOK,
            failures=failures,
            retry_count=BASE.retry_count,
            first_delay_s=BASE.retry_delay_s,
            left_s=left_s,
            chance=chance,
        )
        if isinstance(step, GiveUp):
            assert not step.is_expired
            return found
        found.append(step.after_s)
    raise AssertionError("never given up")


def test_a_webhook_is_tried_at_the_times_of_the_standard() -> None:
    middle = delays(0.5)
    assert middle == pytest.approx([5, 300, 1_800, 7_200, 18_000, 36_000, 36_000])
    assert 27 * HOUR_S < sum(middle) < 28 * HOUR_S
    assert sum(delays(1.0)) < WEBHOOK.expires_after_s


def test_another_first_delay_stretches_the_steps_alike() -> None:
    assert [WEBHOOK.delay_s(retry, 10) for retry in (1, 2, 3, 7)] == [10, 600, 3_600, 36_000]
    assert [WEBHOOK.delay_s(retry, 0) for retry in (1, 2, 9)] == [0, 0, 0]


@given(st.floats(0, 1))
def test_chance_moves_a_delay_by_a_tenth_at_most(chance: float) -> None:
    assert delays(chance) == pytest.approx(delays(0.5), rel=0.1001)


@given(
    st.builds(Schedule, growth=st.floats(1, 10), cap_s=st.floats(1, 36_000), expires_after_s=st.just(HOUR_S)),
    st.integers(1, 50),
    st.integers(0, 20),
    st.tuples(st.floats(0, 86_400), st.floats(0, 10**6), st.floats(0, 1)),
    st.none() | st.floats(0, 10**9),
)
def test_every_step_is_in_time_or_the_last_one(
    schedule: Schedule, failures: int, retry_count: int, times: tuple[float, float, float], asked_s: float | None
) -> None:
    first_delay_s, left_s, chance = times
    step = next_step(
        schedule,
        failures=failures,
        retry_count=retry_count,
        first_delay_s=first_delay_s,
        left_s=left_s,
        chance=chance,
        asked_s=asked_s,
    )
    if isinstance(step, TryAgain):
        assert failures <= retry_count
        assert step.after_s < left_s
        assert min(asked_s or 0, schedule.cap_s) <= step.after_s <= schedule.cap_s * 1.1
    else:
        assert step.is_expired == (failures <= retry_count)


def test_retry_after_makes_longer_never_shorter_and_never_beyond_the_cap() -> None:
    def after(asked_s: float) -> float:
        step = next_step(
            WEBHOOK, failures=2, retry_count=9, first_delay_s=5, left_s=LONG_S, chance=0.5, asked_s=asked_s
        )
        assert isinstance(step, TryAgain)
        return step.after_s

    assert after(1) == pytest.approx(300)
    assert after(600) == pytest.approx(600)
    assert after(10**8) == WEBHOOK.cap_s

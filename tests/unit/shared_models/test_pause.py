"""A queue whose destination is away waits, tries with one row, and goes on when it is back."""

from dataclasses import dataclass

from shared_models.pause import FAILURES_IN_A_ROW, Pause


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def failing(clock: Clock, times: int, cap_s: float = 10.0) -> Pause:
    pause = Pause(base_s=1.0, cap_s=cap_s, clock=clock)
    for _ in range(times):
        clock.now += pause.failed()
    return pause


def test_single_failures_stop_nothing() -> None:
    pause = failing(Clock(), FAILURES_IN_A_ROW - 1)
    assert (pause.is_on, pause.room(64, 5)) == (False, 64)
    assert pause.succeeded() is False


def test_several_in_a_row_stop_the_claiming_and_then_one_row_is_tried_alone() -> None:
    clock = Clock()
    pause = failing(clock, FAILURES_IN_A_ROW - 1)
    wait_s = pause.failed()
    assert 0.5 <= wait_s <= 1.0
    assert pause.room(64, 0) == 0
    clock.now += wait_s
    assert (pause.room(64, 0), pause.room(64, 1), pause.room(0, 0)) == (1, 0, 0)


def test_a_success_ends_the_pause_at_once() -> None:
    pause = failing(Clock(), 9)
    assert pause.succeeded() is True
    assert pause.room(64, 3) == 64
    assert pause.succeeded() is False


def test_the_pauses_grow_to_a_limit() -> None:
    clock = Clock()
    pause = failing(clock, 100)
    assert 5.0 <= pause.failed() <= 10.0


def test_what_was_under_way_does_not_prolong_it() -> None:
    clock = Clock()
    pause = failing(clock, FAILURES_IN_A_ROW - 1)
    first_s = pause.failed()
    for _ in range(1000):
        assert pause.failed() <= first_s + 1e-6
    clock.now += first_s
    assert pause.failed() <= 2.0


def test_a_destination_that_says_when_to_come_back_is_left_alone_until_then() -> None:
    clock = Clock()
    pause = failing(clock, FAILURES_IN_A_ROW - 1)
    assert pause.failed(retry_after_s=120.0) == 120.0
    clock.now += 119
    assert pause.room(1, 0) == 0

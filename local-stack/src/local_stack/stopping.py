"""When the runner is to stop: Ctrl-C, SIGTERM, a closed terminal."""

import select
import signal
import sys
import time
from types import FrameType


class StopRequested(Exception):
    """Somebody asked to stop."""


class StopSignals:
    """Turns signals into StopRequested at the next `pause`, so that nothing is cut off between two steps."""

    def __init__(self) -> None:
        self._has_come = False
        heeds_hangup = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # nohup stays nohup
        for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if heeds_hangup else [])):
            signal.signal(number, self._note)
        self._terminal = _terminal() if heeds_hangup else None

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._has_come = True

    def pause(self, seconds: float) -> None:
        """Sleep. Raises StopRequested once a signal has come or the terminal is gone."""
        if self._has_come or self._is_hung_up():
            raise StopRequested
        time.sleep(seconds)

    def _is_hung_up(self) -> bool:
        """A closed terminal tells only the first process in it, which may be a `make` that waits for us."""
        return self._terminal is not None and any(event & select.POLLHUP for _, event in self._terminal.poll(0))


def _terminal() -> "select.poll | None":
    for stream in (sys.stdout, sys.stdin):
        if stream is not None and stream.isatty():
            poll = select.poll()
            poll.register(stream, 0)
            return poll
    return None

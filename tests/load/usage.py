"""CPU and memory of process trees."""

import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

MEGABYTE = 1_000_000
SAMPLE_EVERY_S = 0.1


def cpu_s(pid: int) -> float:
    """User and system seconds of a process, its living descendants, and the children it has waited for."""
    spent = 0.0
    for process in _tree(pid):
        with suppress(psutil.Error):
            times = process.cpu_times()
            spent += (
                times.user
                + times.system
                + getattr(times, "children_user", 0.0)
                + getattr(times, "children_system", 0.0)
            )
    return spent


def rss_mb(pid: int) -> float:
    """Resident memory of a process and its descendants in megabytes."""
    size = 0
    for process in _tree(pid):
        with suppress(psutil.Error):
            size += process.memory_info().rss
    return size / MEGABYTE


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


@dataclass
class CpuMeter:
    """Seconds spent by each named process tree between `__enter__` and `__exit__`."""

    pids: Mapping[str, int]
    spent_s: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> "CpuMeter":
        self._before = {name: cpu_s(pid) for name, pid in self.pids.items()}
        return self

    def __exit__(self, *_: object) -> None:
        self.spent_s = {name: cpu_s(pid) - self._before[name] for name, pid in self.pids.items()}


class MemoryMeter:
    """The most that some process trees had together, looked at ten times a second."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self.pids = pids
        self.most_mb = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> "MemoryMeter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.most_mb = max(self.most_mb, sum(rss_mb(pid) for pid in self.pids.values()))
            if self._is_over.wait(SAMPLE_EVERY_S):
                return


class MachineMeter:
    """How much of the machine's CPU went to programs that are neither this one nor started by it."""

    def __enter__(self) -> "MachineMeter":
        self._began_s, self._busy_s, self._own_s = time.monotonic(), _busy_s(), cpu_s(os.getpid())
        self.others_share = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        others_s = (_busy_s() - self._busy_s) - (cpu_s(os.getpid()) - self._own_s)
        self.others_share = max(0.0, others_s / ((time.monotonic() - self._began_s) * (os.cpu_count() or 1)))


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))

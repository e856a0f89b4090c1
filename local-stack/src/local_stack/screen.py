"""What a person sees: a progress display on a terminal, plain lines elsewhere. A closed terminal is no error."""

import sys
from contextlib import suppress

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Screen:
    """`begin` and `done` show a step; `line` prints text as it is, without wrapping, so that it can be copied."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._tasks: dict[str, TaskID] = {}
        self._progress: Progress | None = None

    def begin(self, name: str) -> None:
        if self._console.is_terminal:
            with suppress(OSError):
                self._tasks[name] = self._started_progress().add_task(name, total=1)

    def done(self, name: str, seconds: float) -> None:
        if name in self._tasks and self._progress is not None:
            with suppress(OSError):
                self._progress.update(self._tasks[name], completed=1)
        else:
            self.line(f"{name} ready after {seconds:.1f} s")

    def end_steps(self) -> None:
        """The progress display stops where it is; what comes after it is printed below."""
        if self._progress is not None:
            with suppress(OSError):
                self._progress.stop()
            self._progress = None

    def line(self, text: str = "") -> None:
        with suppress(OSError):
            self._console.print(text, markup=False, soft_wrap=True)

    def problem(self, text: str) -> None:
        self.end_steps()
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)

    def _started_progress(self) -> Progress:
        if self._progress is None:
            mark = SpinnerColumn(finished_text="[green]✓[/green]")
            columns = (mark, TextColumn("{task.description}"), TimeElapsedColumn())
            self._progress = Progress(*columns, console=self._console)
            self._progress.start()
        return self._progress

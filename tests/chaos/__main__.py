"""`make chaos`: the fault suite. Exit code 0: every promise was kept, and every fault point was hit."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from shared_models.faults import POINTS
from shared_models.worker import MAX_LOST

from tests.chaos.calm import Measures, calm_run
from tests.chaos.stack import MODES, Stack, running_stack
from tests.chaos.storm import Result, Size, folder_of, storm

SEEDS = (1, 2, 3)
STORM = Size(kills=36, accepted=1700, most_s=300)
COLUMNS = ("accepted", "kills", "lost", "duplicates", "order", "leaks", "other")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--only", nargs="+", choices=("storm", "calm"), default=["storm", "calm"])
    chosen = parser.parse_args()
    results: list[Result] = []
    for mode in chosen.modes:
        if "storm" in chosen.only:
            results += [run(f"storm-{mode}-{seed}", mode, seed, _storm(seed)) for seed in chosen.seeds]
        if "calm" in chosen.only:
            seed = chosen.seeds[0]
            results.append(run(f"calm-{mode}-{seed}", mode, seed, _calm(seed)))
    print_table(results, Console())
    missed = never_struck(results, chosen.modes, chosen.only)
    return 0 if all(result.findings.is_clean for result in results) and not missed else 1


def _storm(seed: int) -> Callable[[Stack], Result]:
    return lambda stack: storm(stack, seed, STORM, list(POINTS))


def _calm(seed: int) -> Callable[[Stack], Result]:
    return lambda stack: calm_run(stack, seed, Measures())


def run(name: str, mode: str, seed: int, play: Callable[[Stack], Result]) -> Result:
    """One run on a stack of its own. A failing one leaves its folder and says how to repeat it."""
    folder, began_s = folder_of(name), time.monotonic()
    print(f"{name} …", file=sys.stderr, flush=True)
    with running_stack(folder, mode, seed=seed) as stack:
        result = play(stack)
    result.notes["the run itself, s"] = time.monotonic() - began_s
    if result.findings.is_clean:
        shutil.rmtree(folder)
        return result
    only = name.partition("-")[0]
    print(f"\n{name} failed. Its files: {folder}\n{result.findings.words()}", file=sys.stderr)
    print(f'Again: make chaos ARGS="--modes {mode} --seeds {seed} --only {only}"\n', file=sys.stderr, flush=True)
    return result


def never_struck(results: list[Result], modes: list[str], only: list[str]) -> list[str]:
    """Points that struck in no storm of any mode."""
    storms = [set(result.never_struck) for result in results if result.name.startswith("storm")]
    missed = sorted(set.intersection(*storms)) if storms else []
    for point in missed:
        print(f"{point} was never hit in {len(storms)} storms ({', '.join(modes)}; {', '.join(only)})", file=sys.stderr)
    return missed


def print_table(results: list[Result], console: Console) -> None:
    table = Table("run", *COLUMNS, title="fault suite")
    for result in results:
        table.add_row(result.name, *(f"{result.row[name]:,}" for name in COLUMNS))
    table.add_section()
    table.add_row("all", *(f"{sum(result.row[name] for result in results):,}" for name in COLUMNS))
    console.print(table)
    for result in results:
        for note, value in result.notes.items():
            console.print(f"{result.name}: {note} {value:,.1f}")
        if result.findings.given_up:
            console.print(
                f"{result.name}: {result.findings.given_up} requests were given up after {MAX_LOST} logged deaths"
            )
        if result.findings.excused:
            console.print(f"{result.name}: {result.findings.excused} messages came twice, each by a logged death")


if __name__ == "__main__":
    sys.exit(main())

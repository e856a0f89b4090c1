"""`make chaos`: the fault suite. Exit code 0: every promise was kept, in each mode somebody has died at every fault point, and
all of it was as much as it is meant to be."""

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from local_stack.ports import free_port
from local_stack.postgres import ClusterOptions, PostgresCluster
from rich.console import Console
from rich.table import Table
from shared_models.worker import MAX_LOST

from tests.chaos.audit import Findings
from tests.chaos.bouncer import NoBouncer, find_or_install
from tests.chaos.calm import Measures, calm_run
from tests.chaos.engine import EngineResult, EngineSize, run_engine
from tests.chaos.stack import DATABASE, MODES, Stack, running_stack
from tests.chaos.storm import Result, Size, folder_of, points_of, storm

SEEDS = (1, 2, 3)
STORM = Size(kills=36, accepted=1700, most_s=900)
ALL_KILLS, ALL_ACCEPTED = 200, 10_000  # in storms; a machine on which `most_s` is too short for that proves less
KINDS = ("storm", "pooled", "calm", "engine")
COLUMNS = ("accepted", "kills", "lost", "duplicates", "order", "leaks", "other")
# One seed with an honest broker; then one that repeats and loses answers, and one that delays and mixes.
KNOBS: dict[int, dict[str, float]] = {
    2: {"copies": 1, "lost_answers": 0.05},
    0: {"delay_s": 0.3, "mix_window_s": 0.2},
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    chosen = parser.parse_args()
    try:
        if "pooled" in chosen.only:
            find_or_install()
    except NoBouncer as problem:
        print(problem, file=sys.stderr)
        return 2
    results: list[Result] = []
    for mode in chosen.modes:
        results += _runs(mode, chosen.seeds, chosen.only)
    engine = _engine(chosen.seeds[0]) if "engine" in chosen.only else None
    print_table(results, engine, Console())
    missed = [*never_struck(results), *too_little(results)]
    for words in missed:
        print(words, file=sys.stderr)
    is_clean = all(result.findings.is_clean for result in results) and (engine is None or engine.is_clean)
    return 0 if is_clean and not missed else 1


def _runs(mode: str, seeds: list[int], only: list[str]) -> list[Result]:
    results, missed = [], list[str]()
    for seed in seeds if "storm" in only else []:
        results.append(run("storm", mode, seed, partial(storm, seed=seed, size=size_of(seed), first=missed)))
        missed = missed_in(results)
    if "pooled" in only:
        size = replace(STORM, kills=12, accepted=600)
        results.append(run("pooled", mode, seeds[0], partial(storm, seed=seeds[0], size=size)))
    if "calm" in only:
        results.append(run("calm", mode, seeds[0], partial(calm_run, seed=seeds[0], size=Measures())))
    return results


def size_of(seed: int) -> Size:
    return replace(STORM, knobs=KNOBS.get(seed % len(SEEDS), {}))


def run(kind: str, mode: str, seed: int, play: Callable[[Stack], Result]) -> Result:
    """One run on a stack of its own. A failing one leaves its folder and says how to repeat it; one that breaks has failed,
    and the others go on."""
    name = f"{kind}-{mode}-{seed}"
    folder, began_s = folder_of(name), time.monotonic()
    print(f"{name} …", file=sys.stderr, flush=True)
    try:
        with running_stack(folder, mode, seed=seed, is_pooled=kind == "pooled") as stack:
            result = play(stack)
    except Exception as broken:  # noqa: BLE001 - whatever it is, the table of all runs still comes
        traceback.print_exception(broken)
        findings = Findings(by_check={"scenarios": [f"the run broke off: {broken!r}"]})
        result = Result(name, findings, kills=0, never_struck=points_of(mode))
    result.notes["the run itself, s"] = time.monotonic() - began_s
    if result.findings.is_clean:
        shutil.rmtree(folder)
        return result
    print(f"\n{name} failed. Its files: {folder}\n{result.findings.words()}", file=sys.stderr)
    print(f'Again: make chaos ARGS="--modes {mode} --seeds {seed} --only {kind}"\n', file=sys.stderr, flush=True)
    return result


def _engine(seed: int) -> EngineResult:
    folder = folder_of(f"engine-{seed}")
    print(f"{folder.name} …", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    home = Path(tempfile.mkdtemp(prefix="ssa-engine-"))
    home.chmod(0o755)
    options = ClusterOptions(port=free_port(), settings=tuple(DATABASE.items()))
    cluster = PostgresCluster(home / "cluster", log=folder / "postgres.log", options=options)
    try:
        cluster.start()
        result = run_engine(cluster, folder, EngineSize(), seed)
    except Exception as broken:  # noqa: BLE001 - as above
        traceback.print_exception(broken)
        result = EngineResult(0, 0, stuck=[f"the run broke off: {broken!r}"])
    finally:
        cluster.stop()
        shutil.rmtree(home)
    if result.is_clean:
        shutil.rmtree(folder)
    else:
        print(f"{folder.name} failed: {result.words()}. Its files: {folder}", file=sys.stderr)
    return result


def missed_in(storms: Sequence[Result]) -> list[str]:
    """Points at which nobody died in any of them."""
    return sorted(set.intersection(*(set(each.never_struck) for each in storms)))


def never_struck(results: list[Result]) -> list[str]:
    """For each mode, the points of no storm. Told only after storms of all seeds: one alone cannot hit all."""
    found = []
    for mode in MODES:
        storms = _storms(results, mode)
        if len(storms) >= len(SEEDS):
            found += [f"in {mode} mode nobody died at {point} in {len(storms)} storms" for point in missed_in(storms)]
    return found


def too_little(results: list[Result]) -> list[str]:
    """Told only when no storm was left out."""
    if any(len(_storms(results, mode)) < len(SEEDS) for mode in MODES):
        return []
    storms = [each for mode in MODES for each in _storms(results, mode)]
    kills, accepted = sum(each.kills for each in storms), sum(each.findings.accepted for each in storms)
    if kills >= ALL_KILLS and accepted >= ALL_ACCEPTED:
        return []
    return [f"{kills} kills and {accepted} accepted requests in all storms: {ALL_KILLS} and {ALL_ACCEPTED} are meant"]


def _storms(results: list[Result], mode: str) -> list[Result]:
    return [each for each in results if each.name.startswith(f"storm-{mode}-")]


def print_table(results: list[Result], engine: EngineResult | None, console: Console) -> None:
    table = Table(title="fault suite")
    table.add_column("run", no_wrap=True)
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for result in results:
        table.add_row(result.name, *(f"{result.row[name]:,}" for name in COLUMNS))
    table.add_section()
    table.add_row("all", *(f"{sum(result.row[name] for result in results):,}" for name in COLUMNS))
    if results:
        console.print(table)
    for result in results:
        for note, value in result.notes.items():
            console.print(f"{result.name}: {note} {value:,.1f}")
        if result.findings.given_up:
            console.print(f"{result.name}: {result.findings.given_up} requests given up after {MAX_LOST} logged deaths")
        if result.findings.excused:
            console.print(f"{result.name}: {result.findings.excused} messages came twice, each by a logged death")
    if engine is not None:
        found = {"lost": len(engine.lost), "out of order": len(engine.out_of_order), "stuck": len(engine.stuck)}
        told = ", ".join(f"{count} {name}" for name, count in found.items())
        console.print(f"engine alone: {engine.rows:,} rows, {engine.kills} kills, {told} in {engine.took_s:,.0f} s")


if __name__ == "__main__":
    sys.exit(main())

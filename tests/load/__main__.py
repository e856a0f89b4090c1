"""`make bench`: the product against the floor of this machine. Ends by itself after a few minutes.

Exit code 0: every number was reached; 1: one was not; 2: the run does not count."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from local_stack.settings import REPOSITORY
from rich.console import Console

from tests.load import deliveries, eventing, scenarios, slack
from tests.load.cluster import durable_cluster
from tests.load.floor import running_floor
from tests.load.model import running_model
from tests.load.numbers import Measure
from tests.load.product import running_product
from tests.load.report import Report, print_report, write_json
from tests.load.rounds import BenchFailed
from tests.load.up import warm_starts
from tests.load.usage import MachineMeter

WORK = REPOSITORY / ".local" / "bench"
UP = "up"
DIRECT = scenarios.ALL | deliveries.ALL
NAMES = (*DIRECT, *slack.ALL, *eventing.ALL, UP)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--json", type=Path, default=REPOSITORY / ".local" / "bench.json", help="where the numbers go")
    parser.add_argument("--only", nargs="+", choices=NAMES, help="some scenarios instead of all")
    chosen = parser.parse_args()
    console = Console(stderr=True)
    report = Report()
    WORK.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    wanted = chosen.only or NAMES
    with MachineMeter() as machine:
        try:
            for table in (DIRECT, slack.ALL, eventing.ALL):
                _measure_product({name: run for name, run in table.items() if name in wanted}, report, console)
        except BenchFailed as failure:
            report.void = str(failure)
        if UP in wanted:
            _measure_up(report, console)
    report.facts["CPU that other programs took meanwhile, share of the machine"] = machine.others_share
    report.facts["the bench itself, s"] = time.monotonic() - began_s
    write_json(report, chosen.json)
    print_report(report, Console())
    return 2 if report.void else 0 if report.is_passed else 1


def _measure_product(wanted: dict[str, Callable[[scenarios.Bench], None]], report: Report, console: Console) -> None:
    """On a new database. Eventing scenarios come alone: the product is started in their mode."""
    if not wanted:
        return
    with (
        durable_cluster(WORK) as cluster,
        running_model(WORK / "model.log") as model,
        running_product(cluster.url(), model.url, WORK) as product,
        running_floor(cluster.url(), model.url, WORK / "floor.log") as floor,
    ):
        bench = scenarios.Bench(floor, product, model, cluster.server_pid, report)
        if wanted.keys() <= eventing.ALL.keys():
            product.start_broker()
        if "first" not in wanted:
            product.start()
            product.settle()
        for name, run in wanted.items():
            console.print(f"{name} …")
            run(bench)


def _measure_up(report: Report, console: Console) -> None:
    console.print("three starts of the whole stack …")
    with running_model(WORK / "model.log") as model:
        times = warm_starts(WORK, model.url)
    report.measures += [
        Measure("make up, warm, with OGX", times.all_s, 30, "s"),
        Measure("make up, warm, services alone", times.services_s, 6, "s"),
    ]


if __name__ == "__main__":
    sys.exit(main())

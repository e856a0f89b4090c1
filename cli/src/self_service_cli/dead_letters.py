"""`ssa dead-letters`: what was given up in the services, for operators."""

import re
from typing import Annotated

import typer
from shared_clients.request_manager import RequestManagerClient
from shared_models.enums import ServiceName
from shared_models.operations import DeadLetterDetail, DeadLetterKind, DeadLetterQuery, ReplayFilter, ReplayResult

from self_service_cli.answers import checked
from self_service_cli.command import Command, command_of, ending, run
from self_service_cli.failures import ExitCode, Failure, usage
from self_service_cli.output import Output
from self_service_cli.paging import CursorOption, LimitOption

app = typer.Typer(no_args_is_help=True)

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
AGE = re.compile(r"(\d{1,6})([smhd])")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As the list shows it, such as agent-service:123.")]
ServiceOption = Annotated[ServiceName | None, typer.Option(help="Only those of this service.")]
KindOption = Annotated[DeadLetterKind | None, typer.Option(help="Only requests, events or deliveries.")]
QueueOption = Annotated[str | None, typer.Option(help="Only those of this queue.")]
CauseOption = Annotated[str | None, typer.Option(help="Only those whose cause has this in it.")]
OlderOption = Annotated[str, typer.Option(help="Given up longer ago than this: 90s, 5m, 2h, 3d.")]
NewerOption = Annotated[str, typer.Option(help="Given up within this time: 90s, 5m, 2h, 3d.")]


@app.command("list")
def list_dead_letters(
    context: typer.Context,
    service: ServiceOption = None,
    kind: KindOption = None,
    queue: QueueOption = None,
    cause: CauseOption = None,
    older_than: OlderOption = "",
    newer_than: NewerOption = "",
    limit: LimitOption = 20,
    cursor: CursorOption = "",
) -> None:
    """List what was given up, the newest first."""
    with ending(command_of(context)):
        conditions = wanted(service, kind, queue, cause, (older_than, newer_than))
        query = checked(DeadLetterQuery, **conditions, limit=limit, cursor=cursor)

    async def work(command: Command, api: RequestManagerClient) -> None:
        page = await api.dead_letters(query)
        if command.out.is_json:
            command.out.document(page)
        else:
            rows = [
                (
                    letter.id,
                    letter.kind,
                    letter.queue,
                    letter.request_id,
                    letter.attempts,
                    f"{letter.dead_at:%Y-%m-%d %H:%M}",
                    letter.cause,
                )
                for letter in page.items
            ]
            command.out.table(("id", "kind", "queue", "request", "tries", "given up (UTC)", "cause"), rows)
            if page.next_cursor:
                command.out.note(f"There are more: add --cursor {page.next_cursor}")
        note_unreachable(command.out, page.unreachable)

    run(context, work)


@app.command("show")
def show_dead_letter(context: typer.Context, letter_id: IdArgument) -> None:
    """Show one: where it comes from, why it was given up, how often it was tried."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        letter = await api.dead_letter(letter_id)
        if command.out.is_json:
            command.out.document(letter)
        else:
            show(command.out, letter)

    run(context, work)


@app.command("replay")
def replay_dead_letters(
    context: typer.Context,
    letter_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Those; or none, and options.")
    ] = None,
    service: ServiceOption = None,
    kind: KindOption = None,
    queue: QueueOption = None,
    cause: CauseOption = None,
    older_than: OlderOption = "",
    newer_than: NewerOption = "",
    everything: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
) -> None:
    """Do again what was given up: by id, or all that fit the options."""
    with ending(command_of(context)):
        conditions = wanted(service, kind, queue, cause, (older_than, newer_than))
        chosen = checked(ReplayFilter, **conditions, all=everything)
        if bool(letter_ids) != (chosen.is_empty and not everything):
            raise usage("Name ids, or options, or --all; not both.", "`ssa dead-letters list` shows what there is.")

    async def work(command: Command, api: RequestManagerClient) -> None:
        if letter_ids:
            done = ReplayResult(replayed=[await api.replay_dead_letter(each) for each in letter_ids], not_replayed=[])
        else:
            done = await replay_all(command, api, chosen)
        report(command.out, done)

    question = "" if letter_ids else "Replay all dead letters that fit?"
    run(context, work, question=question)


@app.command("discard")
def discard_dead_letters(
    context: typer.Context,
    letter_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="As the list shows them.")],
) -> None:
    """Forget what needs nothing any more. It cannot be replayed afterwards."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        for letter_id in letter_ids:
            await api.discard_dead_letter(letter_id)
        if command.out.is_json:
            command.out.document({"discarded": list(letter_ids)})
        else:
            command.out.note("Discarded.")

    run(context, work, question=f"Discard {', '.join(letter_ids)} for good?")


def wanted(
    service: ServiceName | None,
    kind: DeadLetterKind | None,
    queue: str | None,
    cause: str | None,
    ages: tuple[str, str],
) -> dict[str, object]:
    """The conditions of a filter. Raises Failure (usage)."""
    older_than, newer_than = (seconds(age) for age in ages)
    return {
        "service": service,
        "kind": kind,
        "queue": queue,
        "cause": cause,
        "older_than_s": older_than,
        "newer_than_s": newer_than,
    }


def seconds(age: str) -> float | None:
    """Of 90s, 5m, 2h, 3d; None for an empty text. Raises Failure (usage)."""
    if not age:
        return None
    found = AGE.fullmatch(age)
    if found is None:
        raise usage(f"{age} is no age.", "Write it as 90s, 5m, 2h or 3d.")
    return float(int(found[1]) * UNITS_S[found[2]])


async def replay_all(command: Command, api: RequestManagerClient, chosen: ReplayFilter) -> ReplayResult:
    """All that fit, a hundred at a time."""
    whole = ReplayResult(replayed=[], not_replayed=[])
    while True:
        done = await api.replay_dead_letters(chosen)
        whole.replayed += done.replayed
        whole.not_replayed += done.not_replayed
        whole.unreachable = done.unreachable
        if not done.next_cursor:
            return whole
        command.out.progress(f"{len(whole.replayed)} replayed")
        chosen = chosen.model_copy(update={"cursor": done.next_cursor})


def report(out: Output, done: ReplayResult) -> None:
    """Raises Failure (conflict) when something was not replayed."""
    if not out.is_json:
        out.table(("id", "asked again as"), [(each.id, each.request_id) for each in done.replayed])
        for each in done.not_replayed:
            out.note(f"{each.id}: {each.message} ({each.code})")
    note_unreachable(out, done.unreachable)
    if done.not_replayed:
        words = f"{len(done.not_replayed)} of {len(done.not_replayed) + len(done.replayed)} were not replayed."
        raise Failure(words, ExitCode.CONFLICT, code="not_replayed", document=done)
    if out.is_json:
        out.document(done)
    else:
        out.note(f"{len(done.replayed)} replayed.")


def show(out: Output, letter: DeadLetterDetail) -> None:
    pairs: list[tuple[str, object]] = [
        ("id", letter.id),
        ("kind", letter.kind),
        ("service", letter.service),
        ("queue", letter.queue),
        ("request", letter.request_id),
        ("cause", letter.cause),
        ("tries", letter.attempts),
        ("lost with its process", letter.lost),
        ("created", letter.created_at.isoformat()),
        ("given up", letter.dead_at.isoformat()),
        ("can be replayed", letter.replayable),
    ]
    pairs += [(f"event {name}", value) for name, value in letter.event.items()]
    out.facts(pairs + list(letter.facts.items()))


def note_unreachable(out: Output, services: list[ServiceName]) -> None:
    if services:
        out.note(f"Not asked, as they do not answer: {', '.join(services)}. What they hold is missing here.")

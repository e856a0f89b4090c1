"""`ssa agents`: who answers here."""

import typer
from shared_clients.request_manager import RequestManagerClient

from self_service_cli.command import Command, run


def agents(context: typer.Context) -> None:
    """List the agents with their version and what they are for."""

    async def work(command: Command, api: RequestManagerClient) -> None:
        found = await api.agents()
        if command.out.is_json:
            command.out.document(found)
            return
        rows = [(each.name, each.version, ", ".join(each.tools), each.description) for each in found]
        command.out.table(("agent", "version", "tools", "for"), rows)

    run(context, work)

"""`ssa login` and `ssa logout`: sign in at the organisation's issuer, on any device with a browser."""

import asyncio
from typing import Annotated

import httpx
import typer
from shared_clients.http import ServiceClient
from shared_clients.request_manager import RequestManagerClient
from shared_models.errors import UpstreamUnavailable

from self_service_cli.command import Command, command_of, ending
from self_service_cli.device_flow import Client, DeviceCode
from self_service_cli.failures import usage

DEFAULT_SCOPE = "openid profile email offline_access"
SIGN_IN_AT = "To sign in, open {uri} and enter the code {code}"


def login(
    context: typer.Context,
    issuer: Annotated[str, typer.Option(envvar="SSA_OIDC_ISSUER", help="The OpenID Connect issuer.")] = "",
    client_id: Annotated[str, typer.Option(envvar="SSA_OIDC_CLIENT_ID", help="This program's id there.")] = "ssa",
    scope: Annotated[str, typer.Option(envvar="SSA_OIDC_SCOPE", help="What to ask for.")] = DEFAULT_SCOPE,
    audience: Annotated[str, typer.Option(envvar="SSA_OIDC_AUDIENCE", help="For issuers that want to be told.")] = "",
) -> None:
    """Sign in by a code that you enter in a browser; the login is kept in this machine's keyring."""
    command = command_of(context)

    async def work() -> None:
        async with command.surroundings.create_http() as http:
            await sign_in(command, http, Client(issuer, client_id, scope, audience))

    with ending(command):
        command.surroundings.logins.check()
        if not issuer:
            raise usage("Which issuer?", "Name it with --issuer or SSA_OIDC_ISSUER; your IT team knows it.")
        asyncio.run(work())


async def sign_in(command: Command, http: httpx.AsyncClient, client: Client) -> None:
    """Get a token, see whether the server takes it, keep it. Raises Failure, UpstreamRejected."""
    out, url = command.out, command.connection().url

    def show(code: DeviceCode) -> None:
        out.note(SIGN_IN_AT.format(uri=code.verification_uri, code=code.user_code))
        if code.verification_uri_complete:
            out.note(f"or open {code.verification_uri_complete}")

    found = await command.device_flow(http).sign_in(client, show)
    out.hide(found.token)
    out.hide(found.refresh_token)
    try:
        user = await RequestManagerClient(ServiceClient(http, url, lambda: found.token)).me()
    except UpstreamUnavailable:
        user = None
    command.surroundings.logins.save(url, found)
    if out.is_json:
        out.document({"url": url, "user": user.model_dump(mode="json") if user else None})
    elif user:
        out.note(f"Signed in to {url} as {user.name or user.email} <{user.email}>.")
    else:
        out.note(f"Signed in; {url} does not answer now, so that it could not be checked.")
    first = command.connection()
    if first.login is None:
        out.note(f"The token of {first.token_from} comes first, as long as it is there.")


def logout(context: typer.Context) -> None:
    """Forget the login for this server."""
    command = command_of(context)
    with ending(command):
        url = command.connection().url
        was_there = command.surroundings.logins.delete(url)
        if command.out.is_json:
            command.out.document({"url": url, "signed_out": was_there})
        else:
            command.out.note(f"Signed out of {url}." if was_there else f"There was no login for {url}.")

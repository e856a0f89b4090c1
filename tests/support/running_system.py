"""The whole product in one process: three services, MCP server, ServiceNow stand-in and a model, on real loopback ports."""

import asyncio
import base64
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from agent_service.app import create_app as create_agent_service
from agent_service.settings import Settings as AgentServiceSettings
from integration_dispatcher.app import create_app as create_dispatcher
from integration_dispatcher.settings import Settings as DispatcherSettings
from local_stack.broker.app import create_app as create_broker
from local_stack.broker.knobs import Knobs
from local_stack.broker.settings import BrokerSettings
from local_stack.demo_rules.app import create_app as create_demo_rules
from local_stack.demo_rules.embeddings import Encoder
from local_stack.servicenow.app import Standin
from local_stack.servicenow.app import create_app as create_servicenow
from local_stack.servicenow.catalogue import shipped_catalogue
from local_stack.servicenow.settings import StandinSettings
from local_stack.sms.app import create_app as create_phones
from local_stack.webhook_inbox.inbox import WebhookInbox
from local_stack.wiring import BROKER_PATH
from pydantic import SecretStr
from request_manager.app import create_app as create_request_manager
from request_manager.settings import RequestManagerSettings
from servicenow_mcp.app import create_app as create_servicenow_mcp
from servicenow_mcp.settings import Settings as ServiceNowMcpSettings
from shared_clients.http import create_http
from shared_models.settings import Profile
from shared_models.tokens import new_identity_key_pair

from tests.support.ingress import Ingress
from tests.support.mail import mail_server
from tests.support.model import ModelServer
from tests.support.modes import Mode
from tests.support.servers import free_socket, serving, serving_all
from tests.support.slack import patience, slack_world
from tests.support.sms import sms_settings, sms_standin
from tests.support.system import REPOSITORY, Json, System
from tests.support.waiting import eventually
from tests.support.webhook import WebhookReceiver

SEED = "E2E_SEED"
MIX_WINDOW_S = 0.02
WEBHOOK_TIMEOUT_S = 6.0  # a receiver that hangs costs this; one that is only slow must get by
SERVICENOW_KEY = "a-key-of-the-stand-in"


@dataclass
class Part:
    """A program of the system and where it listens."""

    url: str
    sock: socket.socket


def _common(name: str, database_url: str, urls: dict[str, str], key: str, mode: Mode) -> Json:
    """Also in direct mode the services know a broker, so that a message to it would be seen."""
    return {
        "profile": Profile.LOCAL,
        "database_url": SecretStr(database_url),
        "database_role": f"ssa_{name}",
        "service_token_key": SecretStr(key),
        "eventing_enabled": mode is not Mode.DIRECT,
        "broker_url": urls["broker"] + BROKER_PATH,
        "request_manager_url": urls["request_manager"],
        "agent_service_url": urls["agent_service"],
        "integration_dispatcher_url": urls["integration_dispatcher"],
    }


@pytest.fixture(params=Mode)
async def system(
    request: pytest.FixtureRequest, informed_database_url: str, encoder: Encoder, tmp_path: Path
) -> AsyncIterator[System]:
    """In every mode; what went through the broker is checked at the end."""
    mode: Mode = request.param
    seed = int(os.environ.get(SEED) or secrets.randbelow(1_000_000))
    print(f"{SEED}={seed} makes the broker's choices in this test")  # shown when the test fails
    async with running_system(informed_database_url, encoder, tmp_path, mode=mode, seed=seed) as system:
        yield system
        system.model.release()
        await system.ingress.check(informed_database_url)


def create_ingress(mode: Mode, database_url: str, urls: dict[str, str], key: str, seed: int) -> Ingress:
    """The local broker, but in direct mode; at its worst it sends everything twice and mixes the sessions."""
    if mode is Mode.DIRECT:
        return Ingress(mode, None)
    app = create_broker(
        BrokerSettings(
            database_url=SecretStr(database_url),
            service_token_key=SecretStr(key),
            request_manager_url=urls["request_manager"],
            agent_service_url=urls["agent_service"],
            integration_dispatcher_url=urls["integration_dispatcher"],
        )
    )
    if mode is Mode.TWICE:
        app.state.broker.set_knobs(Knobs(seed=seed, copies=1, mix_window_s=MIX_WINDOW_S))
    return Ingress(mode, app)


@asynccontextmanager
async def running_system(
    database_url: str,
    encoder: Encoder,
    folder: Path,
    *,
    mode: Mode = Mode.DIRECT,
    seed: int = 0,
    **agent_service: Any,
) -> AsyncIterator[System]:
    """The whole product on a migrated database. `agent_service`: settings of it that are to be others than usual."""
    parts = {
        name: Part(url, sock)
        for name in (
            "request_manager",
            "agent_service",
            "integration_dispatcher",
            "servicenow_mcp",
            "servicenow",
            "model",
            "embeddings",
            "webhook",
            "sms",
            "broker",
        )
        for sock, url in [free_socket()]
    }
    urls = {name: part.url for name, part in parts.items()}
    key = secrets.token_hex(32)
    signing_key, public_key = new_identity_key_pair()
    model, webhook = ModelServer(), WebhookReceiver()
    standin = Standin(folder / "servicenow", StandinSettings(api_key=SecretStr(SERVICENOW_KEY)))
    mcp_settings = ServiceNowMcpSettings(
        profile=Profile.LOCAL,
        servicenow_instance_url=urls["servicenow"],
        servicenow_api_key=SecretStr(SERVICENOW_KEY),
        servicenow_laptop_refresh_id=shipped_catalogue().item.sys_id,
        servicenow_timeout=30.0,
        identity_public_key=public_key,
    )
    usual = _common("agent_service", database_url, urls, key, mode) | {
        "llama_stack_url": urls["model"],
        "embeddings_url": urls["embeddings"] + "/v1",
        "identity_signing_key": SecretStr(signing_key),
        "mcp_servers": {"servicenow": urls["servicenow_mcp"] + "/mcp"},
        "agents_dir": REPOSITORY / "agent-service" / "agents",
        "knowledge_dir": REPOSITORY / "agent-service" / "knowledge",
    }
    agent_settings = AgentServiceSettings(**(usual | agent_service))
    manager_settings = RequestManagerSettings(**_common("request_manager", database_url, urls, key, mode))
    async with AsyncExitStack() as stack:
        http = create_http()
        stack.push_async_callback(http.aclose)
        sms = sms_standin(
            folder / "phones", httpx.AsyncClient(trust_env=False, timeout=60), urls["integration_dispatcher"]
        )
        around = {
            "model": model.app(),
            "webhook": webhook.app(),
            "sms": create_phones(sms, WebhookInbox(folder / "phones")),
            "embeddings": create_demo_rules(encoder),
            "servicenow": create_servicenow(standin),
        }
        await stack.enter_async_context(serving_all([(app, parts[name].sock) for name, app in around.items()]))
        stack.enter_context(patience())
        slack = await stack.enter_async_context(
            slack_world(urls["integration_dispatcher"], http=http, post_every_s=0.0)
        )
        tool_server = await stack.enter_async_context(AsyncExitStack())
        mcp = create_servicenow_mcp(mcp_settings)
        await tool_server.enter_async_context(serving(mcp, parts["servicenow_mcp"].sock))
        ingress = create_ingress(mode, database_url, urls, key, seed)
        await stack.enter_async_context(serving(ingress, parts["broker"].sock))
        mail = await stack.enter_async_context(mail_server(folder / "mail"))
        dispatcher_settings = DispatcherSettings(
            **_common("integration_dispatcher", database_url, urls, key, mode),
            secrets_key=SecretStr(base64.b64encode(os.urandom(32)).decode()),
            webhook_allowed_networks="127.0.0.0/8",
            webhook_timeout_s=WEBHOOK_TIMEOUT_S,
            slack_post_every_s=0.0,
            **slack.settings(),
            **mail.smtp_fields(),
            **mail.imap_fields(),
            **sms_settings(urls["sms"], urls["integration_dispatcher"]),
            email_links_url=urls["integration_dispatcher"],
        )
        apps = {
            "integration_dispatcher": create_dispatcher(dispatcher_settings),
            "agent_service": create_agent_service(agent_settings),
            "request_manager": create_request_manager(manager_settings),
        }
        await stack.enter_async_context(serving_all([(app, parts[name].sock) for name, app in apps.items()]))
        system = System(
            url=urls["request_manager"],
            database_url=database_url,
            http=http,
            model=model,
            standin=standin,
            webhook=webhook,
            mail=mail,
            sms=sms,
            webhook_url=urls["webhook"] + "/hook",
            tool_server=tool_server,
            apps=apps,
            urls=urls,
            service_token_key=key,
            ingress=ingress,
            slack=slack,
        )
        await _ready(http, [urls[name] for name in ("request_manager", "agent_service", "integration_dispatcher")])
        yield system
        model.release()


async def _ready(http: httpx.AsyncClient, services: list[str]) -> None:
    async def all_ready() -> bool:
        replies = await asyncio.gather(*(http.get(url + "/readyz", timeout=60) for url in services))
        return all(reply.status_code == 200 for reply in replies)

    await eventually(all_ready)

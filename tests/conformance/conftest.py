"""What stands under test: the local broker in both of its modes, or with BROKER_URL any other; see docs/conformance.md."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest
from local_stack.broker.manifests import Mode
from local_stack.postgres import PostgresCluster
from shared_clients.http import create_http

from tests.support.broker import PATH, Receiver, RunningBroker, broker, running_broker, running_receiver
from tests.support.database import run_sql, temporary_database

BROKER_URL = os.environ.get("BROKER_URL", "")
BROKER_TOKEN = os.environ.get("BROKER_TOKEN", "")

# These make triggers of their own: with BROKER_URL they would need a cluster's objects.
collect_ignore_glob = (
    ["test_broker_delivery*.py", "test_broker_filters.py", "test_broker_access.py"] if BROKER_URL else []
)

type Start = Callable[..., AbstractAsyncContextManager[RunningBroker]]


@dataclass(frozen=True)
class Ingress:
    """Where events are posted; `token` may be empty."""

    url: str
    http: httpx.AsyncClient
    token: str = field(repr=False)

    async def call(self, method: str, headers: dict[str, str], body: bytes, url: str = "") -> httpx.Response:
        sent = {"authorization": f"Bearer {self.token}", **headers} if self.token else headers
        return await self.http.request(method, url or self.url, headers=sent, content=body)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def shared_database_url(postgres_cluster: PostgresCluster) -> Iterator[str]:
    with temporary_database(postgres_cluster, "template0") as url:
        yield url


@pytest.fixture
def broker_database_url(shared_database_url: str) -> str:
    """A database without anything of a broker. Making a new one for each case would take longer than the case."""
    run_sql(shared_database_url, "drop schema if exists local_broker cascade")
    return shared_database_url


@pytest.fixture
def start(broker_database_url: str, tmp_path: Path, receiver: Receiver) -> Start:
    """Start a local broker: `start(objects, mode=Mode.KAFKA)`."""
    return partial(_start, broker_database_url, tmp_path, receiver)


def _start(
    database_url: str, folder: Path, receiver: Receiver, objects: list[dict[str, object]], mode: Mode = Mode.KAFKA
) -> AbstractAsyncContextManager[RunningBroker]:
    return running_broker(database_url, folder, objects, receiver, mode=mode)


async def _given_broker() -> AsyncIterator[Ingress]:
    async with create_http() as http:
        yield Ingress(BROKER_URL, http, BROKER_TOKEN)


async def _local_broker(request: pytest.FixtureRequest, start: Start) -> AsyncIterator[Ingress]:
    async with start([broker()], request.param) as running:
        yield Ingress(running.url + PATH, running.http, running.token)


if BROKER_URL:
    ingress = pytest.fixture(_given_broker, name="ingress")
else:
    ingress = pytest.fixture(_local_broker, params=list(Mode), name="ingress")

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_stack.settings import REPOSITORY
from pydantic import SecretStr
from shared_models import faults
from shared_models.faults import POINTS, REPLYING, STRUCK, Injected, fault
from shared_models.settings import Profile, ServiceSettings
from starlette.types import Message, Receive, Scope, Send

POINT = "dispatcher.before_send"
CALL = re.compile(r"\bfault\(\s*\"([^\"]+)\"")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    faults.arm(tmp_path)
    yield tmp_path
    faults.arm(None)


def arm(folder: Path, point: str, **given: object) -> None:
    (folder / point).write_text(json.dumps(given))


def struck(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / STRUCK).read_text().splitlines()]


def test_every_registered_point_is_called_and_every_call_is_registered() -> None:
    called = {
        point for file in REPOSITORY.glob("*/src/**/*.py") for point in CALL.findall(file.read_text(encoding="utf-8"))
    } | {point for file in REPOSITORY.glob("mcp-servers/*/src/**/*.py") for point in CALL.findall(file.read_text())}
    assert called | {REPLYING} == set(POINTS)


async def test_an_unarmed_point_does_nothing_even_when_its_name_is_unknown() -> None:
    await fault("no such point")


async def test_an_armed_process_refuses_an_unknown_name(folder: Path) -> None:
    with pytest.raises(ValueError, match="no such point"):
        await fault("no such point")


async def test_a_point_strikes_once_for_what_its_file_matches_and_writes_that_down(folder: Path) -> None:
    arm(folder, POINT, kind="raise", match="mine")
    await fault(POINT, "another's")
    with pytest.raises(Injected):
        await fault(POINT, "it is mine")
    await fault(POINT, "it is mine")
    [line] = struck(folder)
    assert (line["point"], line["kind"], line["ref"]) == (POINT, "raise", "it is mine")


async def test_an_exit_names_the_deliveries_whose_outcome_it_leaves_unknown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.kill", lambda *_: None)
    for delivery in ("sent and written down", "refused", "sent"):
        await fault("dispatcher.before_send", delivery)
    await fault("dispatcher.committed", "sent and written down")
    await fault("dispatcher.refused", "refused")
    arm(folder, "any", kind="exit", match="dispatcher.plan")
    await fault("dispatcher.plan.committed", "a request")
    assert [(line["point"], line["ref"], line.get("beside")) for line in struck(folder)] == [
        ("dispatcher.plan.committed", "a request", None),
        ("dispatcher.sent_before_commit", "sent", "dispatcher.plan.committed"),
    ]


async def test_a_lasting_fault_strikes_each_time(folder: Path) -> None:
    arm(folder, POINT, kind="sleep", sleep_s=0, once=False)
    await fault(POINT)
    await fault(POINT)
    assert len(struck(folder)) == 2


def test_an_exit_is_written_down_before_the_process_is_killed(tmp_path: Path) -> None:
    arm(tmp_path, POINT, kind="exit")
    code = (
        "import asyncio, pathlib, sys; from shared_models import faults; faults.arm(pathlib.Path(sys.argv[1]));"
        f"asyncio.run(faults.fault('{POINT}', 'r')); print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, timeout=300)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")
    assert [line["ref"] for line in struck(tmp_path)] == ["r"]


async def test_a_dropped_reply_is_a_promise_of_a_body_that_never_comes(folder: Path) -> None:
    arm(folder, REPLYING, kind="drop-reply", match="POST /x")
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def collect(message: Message) -> None:
        sent.append(message)

    async def nothing() -> Message:
        return {}

    around = faults.around(app)
    await around({"type": "http", "method": "POST", "path": "/x"}, nothing, collect)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert sent[0]["headers"] == [(b"content-length", b"1")]
    await around({"type": "http", "method": "POST", "path": "/x"}, nothing, collect)
    assert [message["type"] for message in sent[1:]] == ["http.response.start", "http.response.body"]


def test_fault_points_cannot_be_armed_outside_the_local_profile() -> None:
    given = {"database_url": SecretStr("postgresql://x"), "service_token_key": SecretStr("k" * 32), "faults_dir": "/x"}
    assert ServiceSettings(profile=Profile.LOCAL, **given).faults_dir == "/x"  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="PROFILE=local"):
        ServiceSettings(profile=Profile.PRODUCTION, **given)  # type: ignore[arg-type]

"""What the programs of all stand-ins have in common: settings that are named when they are wrong, and the control of tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from local_stack.mail.app import create_app as mail_app
from local_stack.mail.settings import MailSettings
from local_stack.mail.standin import MailStandin
from local_stack.program import settings_of
from local_stack.servicenow.app import Standin as ServiceNowStandin
from local_stack.servicenow.app import create_app as servicenow_app
from local_stack.servicenow.settings import StandinSettings
from local_stack.slack.app import create_app as slack_app
from local_stack.slack.settings import SlackStandinSettings
from local_stack.slack.standin import Standin as SlackStandin
from local_stack.sms.app import create_app as sms_app
from local_stack.sms.settings import SmsStandinSettings
from local_stack.sms.standin import SmsStandin
from local_stack.webhook_inbox.inbox import WebhookInbox
from pydantic import SecretStr

SECRET = SecretStr("a-secret-of-the-tests")

type Make = Callable[[Path, SecretStr], FastAPI]


def mail(folder: Path, token: SecretStr) -> FastAPI:
    return mail_app(MailStandin(folder, MailSettings(password=SECRET, control_token=token)))


def servicenow(folder: Path, token: SecretStr) -> FastAPI:
    return servicenow_app(ServiceNowStandin(folder, StandinSettings(api_key=SECRET, control_token=token)))


def slack(folder: Path, token: SecretStr) -> FastAPI:
    settings = SlackStandinSettings(signing_secret=SECRET, bot_token=SECRET, app_url="http://app", control_token=token)
    return slack_app(SlackStandin(settings, httpx.AsyncClient(), folder))


def sms(folder: Path, token: SecretStr) -> FastAPI:
    standin = SmsStandin(SmsStandinSettings(auth_token=SECRET, control_token=token), httpx.AsyncClient(), folder)
    return sms_app(standin, WebhookInbox(folder, []))


async def script(app: FastAPI, fault: dict[str, Any], headers: dict[str, str]) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as http:
        return (await http.post("/_standin/faults", json=fault, headers=headers)).status_code


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (mail, {"verb": "MAIL", "code": 451}),
        (servicenow, {"status": 500}),
        (slack, {"status": 500}),
        (sms, {"status": 500}),
    ],
    ids=["mail", "servicenow", "slack", "sms"],
)
async def test_faults_are_for_who_knows_the_control_token(tmp_path: Path, make: Make, fault: dict[str, Any]) -> None:
    app = make(tmp_path, SecretStr("control"))
    assert await script(app, fault, {}) == 404
    assert await script(app, fault, {"x-control-token": "guessed"}) == 404
    assert await script(app, fault, {"x-control-token": "control"}) == 204
    assert await script(make(tmp_path, SecretStr("")), fault, {"x-control-token": ""}) == 404


def test_settings_that_are_missing_end_the_program_and_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLACK_STANDIN_BOT_TOKEN", "xoxb-a-secret")
    with pytest.raises(SystemExit) as ended:
        settings_of(SlackStandinSettings)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "SLACK_STANDIN_SIGNING_SECRET: Field required; SLACK_STANDIN_APP_URL: Field required" in told
    assert "xoxb-a-secret" not in told


def test_a_secret_may_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "MAIL_STANDIN_PASSWORD").write_text("of the file")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert settings_of(MailSettings).password.get_secret_value() == "of the file"

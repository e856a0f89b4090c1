import subprocess
import sys

import pytest
from integration_dispatcher.settings import Settings
from pydantic import ValidationError

from tests.support.dispatcher import settings

DATABASE = "postgresql://nobody@127.0.0.1:1/none"


def given(**changes: str) -> Settings:
    return settings(DATABASE, **changes)


def test_without_a_bot_token_slack_is_off() -> None:
    assert not given().has_slack


@pytest.mark.parametrize("way_in", ["slack_signing_secret", "slack_app_token"])
def test_a_bot_token_and_one_way_in_set_slack_up(way_in: str) -> None:
    assert given(slack_bot_token="xoxb-1", **{way_in: "x"}).has_slack


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"slack_bot_token": "xoxb-1"}, "SLACK_SIGNING_SECRET"),
        ({"slack_signing_secret": "hush"}, "SLACK_BOT_TOKEN"),
        ({"slack_app_token": "hush"}, "SLACK_BOT_TOKEN"),
        ({"slack_api_url": "slack.com"}, "SLACK_API_URL"),
    ],
)
def test_half_set_up_stops_the_start_with_the_missing_name_and_no_secret(changes: dict[str, str], missing: str) -> None:
    with pytest.raises(ValidationError, match=missing) as caught:
        given(**changes)

    assert "hush" not in str(caught.value)


def test_a_process_without_slack_imports_nothing_of_it() -> None:
    code = (
        "import sys, integration_dispatcher.app\n"
        "print([name for name in sys.modules if 'slack' in name or name in ('markdown_it', 'wcwidth')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)

    assert found.stdout.strip() == "['integration_dispatcher.settings_slack']"

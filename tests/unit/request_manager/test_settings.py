"""Bad combinations stop the start."""

from typing import Any

import pytest
from request_manager.settings import RequestManagerSettings

GOOD: dict[str, Any] = {"database_url": "postgresql://u@h/d", "service_token_key": "k" * 32}


def test_limits_follow_the_settings() -> None:
    limits = RequestManagerSettings(**GOOD, running_requests=2, waiting_requests=5, requests_per_minute=7).limits
    assert (limits.open_requests, limits.per_minute) == (7, 7)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"oidc_issuer": "https://issuer.example"}, "OIDC_AUDIENCE"),
        ({"oidc_audience": "a"}, "OIDC_ISSUER"),
        ({"oidc_issuer": "http://issuer.example", "oidc_audience": "a"}, "https"),
        ({"eventing_enabled": True}, "BROKER_URL"),
        ({"service_token_key": "short"}, "SERVICE_TOKEN_KEY"),
    ],
)
def test_a_half_set_sign_in_stops_the_start(more: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word) as refused:
        RequestManagerSettings(**GOOD | {"database_url": "postgresql://u:hunter2@h/d"} | more)
    assert "hunter2" not in str(refused.value)


def test_a_plain_issuer_is_fine_on_this_machine() -> None:
    settings = RequestManagerSettings(**GOOD, profile="local", oidc_issuer="http://127.0.0.1:1", oidc_audience="a")
    assert settings.listen_url == "postgresql://u@h/d"


def test_no_secret_shows_in_the_settings() -> None:
    shown = repr(RequestManagerSettings(**GOOD | {"database_url": "postgresql://u:hunter2@h/d"}))
    assert "hunter2" not in shown
    assert "k" * 32 not in shown

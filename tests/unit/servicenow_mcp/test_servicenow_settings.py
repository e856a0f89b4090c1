from typing import Any

import pytest
from pydantic import ValidationError
from servicenow_mcp.access import ApiKey, Basic, OAuth
from servicenow_mcp.settings import Settings, complaint
from shared_models.tokens import new_identity_key_pair

_, PUBLIC_KEY = new_identity_key_pair()
GOOD: dict[str, Any] = {
    "servicenow_instance_url": "https://example.service-now.com/",
    "servicenow_api_key": "a-secret-key",
    "servicenow_laptop_refresh_id": "0123456789abcdef0123456789abcdef",
    "identity_public_key": PUBLIC_KEY,
}


def settings(**changes: Any) -> Settings:
    return Settings(**{name: value for name, value in {**GOOD, **changes}.items() if value is not None})


def test_the_defaults_fit_a_server_on_this_machine() -> None:
    made = settings()
    assert (made.host, made.port, made.servicenow_timeout) == ("127.0.0.1", 8090, 10.0)
    assert made.base_url == "https://example.service-now.com"
    assert isinstance(made.access(), ApiKey)


def test_the_auth_type_picks_the_way_to_sign_in() -> None:
    basic = settings(servicenow_auth_type="basic", servicenow_username="u", servicenow_password="p")
    assert isinstance(basic.access(), Basic)
    oauth = settings(servicenow_auth_type="oauth", servicenow_client_id="c", servicenow_client_secret="s")
    access = oauth.access()
    assert isinstance(access, OAuth)
    assert access.token_url == "https://example.service-now.com/oauth_token.do"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"servicenow_instance_url": None}, "SERVICENOW_INSTANCE_URL"),
        ({"servicenow_api_key": None}, "SERVICENOW_API_KEY"),
        ({"servicenow_auth_type": "basic", "servicenow_username": "u"}, "SERVICENOW_PASSWORD"),
        ({"servicenow_auth_type": "oauth"}, "SERVICENOW_CLIENT_ID and SERVICENOW_CLIENT_SECRET"),
        ({"servicenow_auth_type": "cookie"}, "SERVICENOW_AUTH_TYPE"),
        ({"servicenow_laptop_refresh_id": "laptop"}, "SERVICENOW_LAPTOP_REFRESH_ID"),
        ({"servicenow_api_key_header": "x y"}, "SERVICENOW_API_KEY_HEADER"),
        ({"servicenow_timeout": 0}, "SERVICENOW_TIMEOUT"),
        ({"servicenow_instance_url": "http://example.service-now.com"}, "must use https"),
        ({"servicenow_instance_url": "ftp://example.service-now.com"}, "SERVICENOW_INSTANCE_URL"),
        ({"servicenow_instance_url": "https://user:word@example.service-now.com"}, "SERVICENOW_INSTANCE_URL"),
        ({"servicenow_token_url": "http://elsewhere.example/token"}, "must use https"),
        ({"identity_public_key": None}, "IDENTITY_PUBLIC_KEY"),
        ({"identity_public_key": "c2hvcnQ="}, "IDENTITY_PUBLIC_KEY"),
        ({"identity_public_key": "no base64!"}, "IDENTITY_PUBLIC_KEY"),
    ],
)
def test_what_is_missing_or_wrong_is_named_without_a_secret(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**changes)
    said = complaint(caught.value)
    assert named in said
    assert "a-secret-key" not in said + str(caught.value)
    assert "word@" not in said + str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"servicenow_instance_url": "http://127.0.0.1:8087"},
        {"servicenow_instance_url": "http://servicenow:8087", "profile": "local"},
    ],
)
def test_plain_http_is_for_this_machine_and_the_local_profile(changes: dict[str, Any]) -> None:
    assert settings(**changes).base_url.startswith("http://")


def test_no_secret_shows_in_the_settings_text() -> None:
    assert "a-secret-key" not in repr(settings())

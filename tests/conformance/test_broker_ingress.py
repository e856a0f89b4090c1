"""What a broker takes and refuses. BROKER_URL runs these against any broker."""

from urllib.parse import urlsplit

import pytest

from tests.conformance.conftest import Ingress
from tests.support.event_cases import attributes, bad_events, binary, good_events

SIZE_BYTES = 36_864


async def test_valid_events_are_taken_with_202_and_an_empty_body(ingress: Ingress) -> None:
    found = {}
    for sent in good_events():
        reply = await ingress.call("POST", sent.headers, sent.body)
        found[sent.name] = (reply.status_code, reply.content)
    assert found == {sent.name: (202, b"") for sent in good_events()}


async def test_invalid_events_are_refused_with_400(ingress: Ingress) -> None:
    found = {}
    for sent in bad_events():
        reply = await ingress.call("POST", sent.headers, sent.body)
        found[sent.name] = reply.status_code
    assert found == {sent.name: 400 for sent in bad_events()}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_other_methods_are_not_allowed(ingress: Ingress, method: str) -> None:
    reply = await ingress.call(method, *binary(attributes()))
    assert reply.status_code == 405


async def test_options_is_answered(ingress: Ingress) -> None:
    reply = await ingress.call("OPTIONS", {}, b"")
    assert reply.status_code in (200, 405)
    if reply.status_code == 200:
        assert "POST" in reply.headers["allow"]


async def test_an_unknown_broker_is_not_found(ingress: Ingress) -> None:
    reply = await ingress.call("POST", *binary(attributes()), url=ingress.url + "-unknown")
    assert reply.status_code == 404


async def test_a_path_that_names_no_broker_is_refused(ingress: Ingress) -> None:
    parts = urlsplit(ingress.url)
    for path in ("/", "/default", "/default/a/b"):
        reply = await ingress.call("POST", *binary(attributes()), url=f"{parts.scheme}://{parts.netloc}{path}")
        assert reply.status_code in (400, 404), path


async def test_an_event_of_36864_bytes_is_taken(ingress: Ingress) -> None:
    reply = await ingress.call("POST", *binary(attributes(), b"x" * SIZE_BYTES, "application/octet-stream"))
    assert reply.status_code == 202

"""One trace spans a request from its HTTP call over the broker to its run, its end and its delivery."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from shared_models import telemetry
from shared_models.enums import ServiceName
from shared_models.events import EventType

from tests.support.trio import trio
from tests.support.waiting import eventually

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    telemetry.export_spans("tests", SimpleSpanProcessor(exporter))
    yield exporter
    telemetry.export_no_spans()


async def in_one_trace(exporter: InMemorySpanExporter, *names: str) -> None:
    """Until the spans of these names have ended, perhaps a moment after what they did can be seen; all belong to TRACE_ID."""

    async def have_ended() -> bool:
        return all(traces(exporter, name) for name in names)

    await eventually(have_ended)
    assert {name: traces(exporter, name) for name in names} == {name: {TRACE_ID} for name in names}


def traces(exporter: InMemorySpanExporter, name: str) -> set[str]:
    """The traces that the spans of this name belong to."""
    found = [span for span in exporter.get_finished_spans() if span.name == name]
    return {format(span.context.trace_id, "032x") for span in found if span.context is not None}


async def test_one_trace_spans_the_call_the_events_the_run_and_the_delivery(
    database_url: str, spans: InMemorySpanExporter
) -> None:
    async with trio(database_url) as services:
        ana = await services.person()
        accepted = await services.post(ana, "hello", deliver_to=["test"], headers={"traceparent": PARENT})
        spans.clear()
        for kind in (EventType.REQUEST_CREATED, EventType.RESPONSE_READY, EventType.DELIVERY_SUCCEEDED):
            event = await services.sent(kind, accepted["request_id"])
            assert event.extensions["traceparent"].split("-")[1] == TRACE_ID, kind
            assert await services.deliver(event) == {202}
        await services.idle()
        await in_one_trace(spans, "event", "run", "deliver")


async def test_without_a_broker_it_is_one_trace_as_well(database_url: str, spans: InMemorySpanExporter) -> None:
    async with trio(database_url, eventing=False) as services:
        ana = await services.person()
        spans.clear()
        await services.post(ana, "hello", deliver_to=["test"], headers={"traceparent": PARENT})
        await services.idle()
        assert services.broker.tries == 0
        await in_one_trace(spans, "hand_over", "run", "announce", "deliver", "report", "event")


async def test_a_trace_outlives_the_process_that_began_it(database_url: str) -> None:
    """The rows are taken up by other processes, which know of them only what stands in the database."""
    async with trio(database_url) as services:
        services.broker.is_away = True
        ana = await services.person()
        accepted = await services.post(ana, "hello", headers={"traceparent": PARENT})
    async with trio(database_url) as services:
        created = await services.sent(EventType.REQUEST_CREATED, accepted["request_id"])
        assert created.extensions["traceparent"].split("-")[1] == TRACE_ID
        services.model.hold()
        assert await services.send(created, ServiceName.AGENT_SERVICE) == 202
    async with trio(database_url) as services:
        ready = await services.sent(EventType.RESPONSE_READY, accepted["request_id"])
        assert ready.extensions["traceparent"].split("-")[1] == TRACE_ID

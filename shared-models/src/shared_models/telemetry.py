"""Prometheus metrics and OpenTelemetry traces. Traces are off unless an OTLP endpoint is configured.

The trace context travels either way, so that one trace spans services even when only some of them export.
Source: https://www.w3.org/TR/trace-context/."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

HTTP_DURATION = Histogram(
    "ssa_http_request_duration_seconds", "Time to answer an HTTP request", ["service", "method", "route", "status"]
)
REQUESTS = Counter("ssa_requests_total", "Requests that reached their end", ["integration", "agent", "outcome"])
REQUEST_DURATION = Histogram(
    "ssa_request_duration_seconds",
    "From accept to end",
    ["integration", "outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 600),
)
MODEL_DURATION = Histogram("gen_ai_client_operation_duration_seconds", "One model call", ["agent", "outcome"])
MODEL_TOKENS = Counter("gen_ai_client_token_usage", "Tokens of model calls", ["agent", "kind"])
TOOL_DURATION = Histogram("gen_ai_execute_tool_duration_seconds", "One tool call", ["tool", "outcome"])
DELIVERY_ATTEMPTS = Counter("ssa_delivery_attempts_total", "Delivery attempts", ["integration", "result"])
MAILS_READ = Counter("ssa_mails_read_total", "Mails taken in from the mailbox", ["outcome"])
MAIL_LOOPS = Counter(
    "ssa_mail_loops_total", "Mails that were not answered: their sender has had its answers of the hour"
)
INTEGRATION_OK = Gauge(
    "ssa_integration_ok", "1: the last check of the provider's account found it working", ["integration"]
)
INTEGRATION_PAUSED = Gauge(
    "ssa_integration_paused", "1: the provider refuses the account, deliveries wait", ["integration"]
)
FEEDBACK = Counter("ssa_feedback_total", "Feedback of people", ["rating"])
OLDEST_AGE = Gauge("ssa_outbox_oldest_age_seconds", "Age of the oldest row that is not done", ["queue"])
DUE_AGE = Gauge(
    "ssa_queue_due_age_seconds", "For how long the oldest row that could run has waited for a worker", ["queue"]
)
DEPTH = Gauge("ssa_queue_depth", "Rows that wait or run", ["queue"])
ROWS_REMOVED = Counter("ssa_rows_removed_total", "Rows removed or emptied after their retention time", ["what"])
LEASES_FREED = Counter("ssa_leases_freed_total", "Leases taken back from workers that died", ["service"])
EVENTS_REFUSED = Counter("ssa_events_refused_total", "Events kept as dead letters and answered with 400", ["service"])
DEAD_LETTERS = Gauge("ssa_dead_letters", "Rows that were given up", ["queue"])

_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
_passed_on: ContextVar[str] = ContextVar("traceparent", default="")
_propagator = TraceContextTextMapPropagator()
_tracer: trace.Tracer | None = None
"""None: nothing is exported."""


def configure_tracing(service: str, otlp_endpoint: str) -> None:
    """Export spans to `otlp_endpoint` (OTLP over HTTP); empty: off."""
    if not otlp_endpoint:
        return
    # Only a process that exports pays for the SDK: 10 MB and 0.2 s.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter(endpoint=otlp_endpoint.rstrip("/") + "/v1/traces", timeout=10)
    export_spans(service, BatchSpanProcessor(exporter))


def export_spans(service: str, processor: "SpanProcessor") -> None:
    """Give every span that ends from now on to `processor`."""
    global _tracer
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("self-service-agent")


def export_no_spans() -> None:
    global _tracer
    _tracer = None


def current_traceparent() -> str:
    """The header value for an outgoing call or event; empty without a trace."""
    if _tracer is None:
        return _passed_on.get()
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def span(
    name: str, *, traceparent: str = "", kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int
) -> Iterator[None]:
    """Work inside a span, child of `traceparent` when given, else of the current one."""
    is_valid = bool(traceparent) and _TRACEPARENT.match(traceparent) is not None
    token = _passed_on.set(traceparent) if is_valid else None
    try:
        if _tracer is None:
            yield
            return
        parent = _propagator.extract({"traceparent": traceparent}) if is_valid else None
        with _tracer.start_as_current_span(name, context=parent, kind=kind, attributes=dict(attributes)):
            yield
    finally:
        if token is not None:
            _passed_on.reset(token)

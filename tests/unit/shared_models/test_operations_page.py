"""docs/operations.md names every metric, every queue and every retention setting."""

from pathlib import Path

import pytest
from agent_service.store import intake
from integration_dispatcher.store import names
from prometheus_client import Counter, Gauge, Histogram
from request_manager.dead_events import DEAD_EVENTS_QUEUE
from request_manager.store.accept import REQUESTS_QUEUE
from request_manager.store.requests import ENDS_QUEUE, RESPONSES_QUEUE
from shared_models import telemetry
from shared_models.dead_letters import refused_queue
from shared_models.enums import ServiceName
from shared_models.settings import ServiceSettings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SERVICES = [service for service in ServiceName if service is not ServiceName.BROKER]
QUEUES = [
    REQUESTS_QUEUE,
    RESPONSES_QUEUE,
    ENDS_QUEUE,
    DEAD_EVENTS_QUEUE,
    intake.RUNS,
    intake.EVENTS,
    names.DELIVERIES,
    names.EVENTS,
    names.INBOUND,
    *map(refused_queue, SERVICES),
]
METRICS = [
    next(iter(metric.describe())).name + ("_total" if isinstance(metric, Counter) else "")
    for metric in vars(telemetry).values()
    if isinstance(metric, Counter | Gauge | Histogram)
]


@pytest.mark.parametrize("queue", QUEUES)
def test_each_queue_of_dead_letters_is_explained(queue: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `") and f"`{queue}`" in line.split("|")[1]]
    assert len(rows) == 1


@pytest.mark.parametrize("metric", METRICS)
def test_each_metric_is_explained(metric: str) -> None:
    assert f"`{metric}" in PAGE


def test_each_retention_setting_is_listed_with_its_default() -> None:
    fields = {name: field for name, field in ServiceSettings.model_fields.items() if name.endswith("_days")}
    assert len(fields) == 4
    for name, field in fields.items():
        assert f"| `{name.upper()}` | {field.default:g} |" in PAGE


def test_the_readme_leads_to_the_page() -> None:
    assert "docs/operations.md" in (ROOT / "README.md").read_text(encoding="utf-8")

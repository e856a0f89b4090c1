"""The arithmetic of the bench and the shapes of its fake model."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load import eventing, scenarios
from tests.load.fake_responses import PREFIX, FakeResponses, answer_to, stream_events
from tests.load.generator import Job, Outcome
from tests.load.numbers import Measure, Verdict, median, percentile, ratio, show
from tests.load.report import Report
from tests.load.rounds import BenchFailed, Ran, Rounds, all_right, cpu_ms_per_request, p50_ms, per_s
from tests.load.up import read_ready_line

NONCE = "nonce-" + "0a" * 16
NUMBERS = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


def test_a_percentile_is_the_smallest_value_that_covers_its_share() -> None:
    assert percentile([4, 1, 3, 2], 0.5) == 2
    assert percentile([4, 1, 3, 2], 0.95) == 4
    assert percentile([4, 1, 3, 2], 0.0) == 1
    assert percentile([7], 0.5) == 7
    assert median([1, 2, 3]) == 2
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@given(NUMBERS, st.floats(0, 1))
def test_at_least_the_share_of_all_values_is_at_or_below_its_percentile(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


@pytest.mark.parametrize(
    ("value", "limit", "at_least", "verdict"),
    [
        (5.0, 5.0, False, Verdict.PASS),
        (5.1, 5.0, False, Verdict.FAIL),
        (0.2, 0.2, True, Verdict.PASS),
        (0.19, 0.2, True, Verdict.FAIL),
        (None, 5.0, False, Verdict.UNKNOWN),
        (float("nan"), 5.0, True, Verdict.UNKNOWN),
    ],
)
def test_a_measure_passes_at_its_limit(value: float | None, limit: float, at_least: bool, verdict: Verdict) -> None:
    assert Measure("x", value, limit, "s", at_least=at_least).verdict is verdict


def test_numbers_are_shown_with_three_digits() -> None:
    assert [show(v) for v in (0.2, 12.345, 1234.5, None)] == ["0.2", "12.3", "1,234", "–"]
    assert Measure("x", 1, 0.2, "x", at_least=True).target == ">= 0.2 x"
    assert ratio(6, 3) == 2
    assert ratio(6, 0) is None


def outcome(*latencies_ms: float, wall_s: float = 1.0, **errors: int) -> Outcome:
    return Outcome(latencies_ms=list(latencies_ms), wall_s=wall_s, errors=Counter(errors))


def test_rounds_are_compared_pair_by_pair_and_the_median_counts() -> None:
    floor = [Ran(outcome(10), {}), Ran(outcome(10), {}), Ran(outcome(100), {})]
    product = [Ran(outcome(30), {}), Ran(outcome(40), {}), Ran(outcome(310), {})]
    assert Rounds(floor, product).ratio(p50_ms) == 3.1
    assert Rounds(floor, product).ratio(per_s) == 1.0


def test_cpu_per_request_is_over_all_rounds_together() -> None:
    runs = [Ran(outcome(1, 1, 1), {"a": 0.03}), Ran(outcome(1), {"a": 0.01})]
    assert cpu_ms_per_request(runs, "a") == pytest.approx(10)


def test_one_wrong_answer_fails_the_bench() -> None:
    assert all_right("x", outcome(1)).right == 1
    with pytest.raises(BenchFailed, match="TimeoutError"):
        all_right("x", outcome(1, TimeoutError=1))
    with pytest.raises(BenchFailed):
        all_right("x", outcome())


def test_a_report_passes_only_complete_and_not_void() -> None:
    good, unknown = Measure("a", 1, 2, "s"), Measure("b", None, 2, "s")
    assert Report([good]).is_passed
    assert not Report([good, unknown]).is_passed
    assert not Report([good], void="floor too slow").is_passed
    written = json.loads(json.dumps(Report([good], {"rate": 3.5}).as_json()))
    assert written["measures"][0]["verdict"] == "pass"
    assert written["facts"] == {"rate": 3.5}


def test_a_job_survives_the_way_to_its_process() -> None:
    job = Job("http://x", clients=2, count=3, keys=["a"])
    assert Job(**json.loads(json.dumps(job.__dict__))) == job


async def ask(app: FakeResponses, method: str, path: str, body: bytes = b"", query: bytes = b"") -> tuple[int, str]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(part.get("body", b"") for part in sent).decode()


async def test_the_fake_model_repeats_the_last_nonce_and_counts_its_calls() -> None:
    app = FakeResponses()
    body = json.dumps({"input": [{"content": "nonce-" + "1" * 32}, {"content": f"say {NONCE}"}]}).encode()
    status, text = await ask(app, "POST", "/v1/responses", body)
    answer = json.loads(text)
    assert status == 200
    assert answer["output"][0]["content"][0]["text"] == f"{PREFIX} {NONCE}"
    assert answer["usage"]["total_tokens"] > 0
    assert json.loads((await ask(app, "GET", "/control"))[1]) == {"calls": 1}
    await ask(app, "POST", "/control", query=b"latency_ms=1000")
    assert (app.calls, app.latency_s) == (0, 1.0)


async def test_the_fake_model_streams_the_same_text() -> None:
    body = json.dumps({"input": f"say {NONCE}", "stream": True}).encode()
    _, text = await ask(FakeResponses(), "POST", "/v1/responses", body)
    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta") == f"{PREFIX} {NONCE}"
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == f"{PREFIX} {NONCE}"


async def test_the_fake_model_lists_a_model_and_is_healthy() -> None:
    assert json.loads((await ask(FakeResponses(), "GET", "/v1/models"))[1])["data"]
    assert (await ask(FakeResponses(), "GET", "/v1/health"))[0] == 200
    assert (await ask(FakeResponses(), "GET", "/v1/other"))[0] == 404


def test_without_a_nonce_the_fake_model_says_so() -> None:
    assert answer_to(b"{}") == f"{PREFIX} none"
    assert stream_events(1, "")[-1]["type"] == "response.completed"


def test_the_scenarios_of_both_modes_have_names_of_their_own() -> None:
    assert scenarios.ALL.keys().isdisjoint(eventing.ALL)


def test_the_runners_ready_line_is_read() -> None:
    assert read_ready_line("… Ready after 21.5 s. Ctrl-C ends everything.") == 21.5
    assert read_ready_line("starting") is None

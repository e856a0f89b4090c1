"""A client with a ledger, run inside the network: `python ledger.py PEOPLE PER_SECOND`. Standard library only.

PEOPLE is JSON: a list of [key, [integrations that each of their answers goes to]]. Asks in their names, each request with an
Idempotency-Key of its own, and repeats it while nobody answers or the answer is 503. Reads "stop" from standard input; then
waits for the end of each request and of its deliveries and prints the ledger as JSON."""

import concurrent.futures
import http.client
import json
import socket
import sys
import threading
import time

HOST, PORT = "request-manager", 8080
TRY_AGAIN_S, GIVE_UP_S = 0.2, 300.0
WORKERS = 64


def call(method: str, path: str, key: str, body: str = "", **headers: str) -> tuple[int, dict[str, object]]:
    """Any replica; one that is not there is passed over. Raises OSError when none answers."""
    last: Exception = OSError("no address")
    for *_, address in socket.getaddrinfo(HOST, PORT, proto=socket.IPPROTO_TCP):
        connection = http.client.HTTPConnection(str(address[0]), PORT, timeout=40)
        try:
            connection.request(
                method,
                path,
                body or None,
                {"authorization": f"Bearer {key}", "content-type": "application/json", **headers},
            )
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as exc:
            last = exc
        finally:
            connection.close()
    raise OSError(str(last))


def until(method: str, path: str, key: str, good: tuple[int, ...], body: str = "", **headers: str) -> dict[str, object]:
    give_up_at = time.monotonic() + GIVE_UP_S
    while True:
        status: int = 0
        reply: dict[str, object] = {}
        try:
            status, reply = call(method, path, key, body, **headers)
        except OSError as exc:
            reply = {"error": str(exc)}
        if status in good:
            return reply
        if status not in (0, 202, 503) or time.monotonic() > give_up_at:
            raise RuntimeError(f"{method} {path}: {status} {reply}")
        time.sleep(TRY_AGAIN_S)


def ask(number: int, key: str, deliver_to: list[str]) -> dict[str, object]:
    body = json.dumps({"content": "hello", "deliver_to": deliver_to, "delivery_policy": "all"})
    accepted = until(
        "POST",
        "/api/v1/requests/cli",
        key,
        (202, 200),
        body,
        **{"idempotency-key": f"ledger-{number}", "prefer": "respond-async"},
    )
    result = until("GET", f"/api/v1/requests/{accepted['request_id']}/result?wait=20", key, (200,))
    end = {name: result.get(name) for name in ("status", "error")}
    return {"request_id": accepted["request_id"], **end, "key": key, "deliver_to": deliver_to}


def deliveries(request_id: str, key: str, wanted: int) -> dict[str, str]:
    """What became of each, by integration, when all have come to an end."""
    give_up_at = time.monotonic() + GIVE_UP_S
    while True:
        found = until("GET", f"/api/v1/requests/{request_id}/status", key, (200,))["deliveries"]
        states = {each["integration"]: each["status"] for each in found}  # type: ignore[attr-defined]
        under_way = [state for state in states.values() if state in ("pending", "retrying")]
        if (len(states) == wanted and not under_way) or time.monotonic() > give_up_at:
            return states
        time.sleep(TRY_AGAIN_S)


def with_deliveries(asked: concurrent.futures.Future[dict[str, object]]) -> dict[str, object]:
    told = asked.result()
    key, deliver_to = told.pop("key"), told.pop("deliver_to")
    return {**told, "deliveries": deliveries(str(told["request_id"]), str(key), len(deliver_to))}  # type: ignore[arg-type]


def main() -> None:
    people = json.loads(sys.argv[1])
    per_second = float(sys.argv[2])
    stopped = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        stopped.set()

    threading.Thread(target=listen, daemon=True).start()
    began_s = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        under_way: list[concurrent.futures.Future[dict[str, object]]] = []
        while not stopped.wait(max(0.0, began_s + len(under_way) / per_second - time.monotonic())):
            number = len(under_way)
            under_way.append(pool.submit(ask, number, *people[number % len(people)]))
        asking_took_s = time.monotonic() - began_s
        concurrent.futures.wait(under_way)
        ended, failed = [], []
        for each in [pool.submit(with_deliveries, asked) for asked in under_way]:
            try:
                ended.append(each.result())
            except RuntimeError as exc:
                failed.append(str(exc))
    rate = len(under_way) / asking_took_s
    print(json.dumps({"asked": len(under_way), "per_second": round(rate, 1), "ended": ended, "failed": failed}))


if __name__ == "__main__":
    main()

"""A client with a ledger, run inside the network: `python ledger.py KEYS SECONDS PER_SECOND`. Standard library only.

Asks as many people, each request with an Idempotency-Key of its own, and repeats it while nobody answers or the answer is 503.
Reads "stop" from standard input; then waits for the end of each request and prints the ledger as JSON."""

import concurrent.futures
import http.client
import json
import socket
import sys
import threading
import time

HOST, PORT = "request-manager", 8080
TRY_AGAIN_S, GIVE_UP_S = 0.2, 90.0


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


def one(number: int, key: str) -> dict[str, object]:
    body = json.dumps({"content": "hello"})
    accepted = until(
        "POST",
        "/api/v1/requests/cli",
        key,
        (202, 200),
        body,
        **{"idempotency-key": f"ledger-{number}", "prefer": "respond-async"},
    )
    result = until("GET", f"/api/v1/requests/{accepted['request_id']}/result?wait=20", key, (200,))
    return {"request_id": accepted["request_id"], "status": result["status"]}


def main() -> None:
    keys = json.loads(sys.argv[1])
    per_second = float(sys.argv[2])
    stopped = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        stopped.set()

    threading.Thread(target=listen, daemon=True).start()
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        under_way, number = [], 0
        while not stopped.wait(1 / per_second):
            under_way.append(pool.submit(one, number, keys[number % len(keys)]))
            number += 1
        ended, failed = [], []
        for each in under_way:
            try:
                ended.append(each.result())
            except RuntimeError as exc:
                failed.append(str(exc))
    print(json.dumps({"asked": number, "ended": ended, "failed": failed}))


if __name__ == "__main__":
    main()

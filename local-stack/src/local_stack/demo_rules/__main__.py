"""`python -m local_stack.demo_rules --port N`: serve the stand-in model on the loopback interface."""

import argparse
import socket

import uvicorn

from local_stack.demo_rules.app import create_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_stack.demo_rules", description="Rule-based stand-in model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8086, help="0 takes a free one")
    chosen = parser.parse_args()
    listener = socket.create_server((chosen.host, chosen.port), backlog=512)
    print(f"demo-rules listens on http://{chosen.host}:{listener.getsockname()[1]}/v1", flush=True)
    config = uvicorn.Config(create_app(), log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()

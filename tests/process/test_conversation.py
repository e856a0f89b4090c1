"""The conversation that the product is about, with the stack as `make up` starts it in both modes: over the command line and over HTTP."""

import json
import random
import re
import string
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.stack import Stack

TICKET = re.compile(r"REQ\d{7}")
DEMO_USER = "alice"


def tickets(stack: Stack) -> list[dict[str, Any]]:
    """What the ServiceNow stand-in has on file."""
    path = stack.state_dir / "servicenow" / "tickets.json"
    content = json.loads(path.read_text()) if path.exists() else []
    return list(content["tickets"] if isinstance(content, dict) else content)


def calls(stack: Stack) -> list[dict[str, Any]]:
    """The log of the stand-in: one entry per call."""
    log = stack.state_dir / "servicenow" / "calls.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def give_laptop(stack: Stack, **facts: object) -> None:
    """Write facts about the demo person's laptop into the stand-in."""
    path = stack.state_dir / "servicenow" / "people.yaml"
    document = yaml.safe_load(path.read_text())
    [person] = [each for each in document["people"] if each["user_name"] == DEMO_USER]
    person["laptops"] = [{**person["laptops"][0], **facts}]
    if "purchase_date" in facts:
        person["laptops"][0].pop("age", None)
    path.write_text(yaml.safe_dump(document))


def ask(stack: Stack, text: str) -> str:
    reply = httpx.post(
        f"{stack.url}/api/v1/requests/cli",
        json={"content": text},
        headers={"authorization": f"Bearer {stack.env['SSA_TOKEN']}", "prefer": "wait=100"},
        timeout=120,
    )
    assert reply.status_code == 200, reply.text
    return str(reply.json()["response"]["content"])


def test_the_answer_carries_what_stands_in_servicenow_and_nowhere_else(any_stack: Stack) -> None:
    serial = "SN" + "".join(random.choices(string.ascii_uppercase + string.digits, k=9))
    model = "Testbook " + "".join(random.choices(string.ascii_lowercase, k=8))
    bought = date(2019, random.randint(1, 12), random.randint(1, 28))
    give_laptop(any_stack, serial_number=serial, model=model, purchase_date=bought)
    before = len(calls(any_stack))
    answer = ask(any_stack, "I need a new laptop")
    for fact in (serial, model, bought.isoformat()):
        assert fact in answer
    paths = {each["path"] for each in calls(any_stack)[before:]}
    assert {"/api/now/table/sys_user", "/api/now/table/cmdb_ci_computer"} <= paths


def test_a_chat_on_the_command_line_ends_with_one_ticket(any_stack: Stack) -> None:
    before = tickets(any_stack)
    chat = subprocess.run(
        [str(Path(sys.executable).with_name("ssa")), "chat"],
        input="I need a new laptop\nyes\n1\nyes\n",
        env=any_stack.env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert chat.returncode == 0, chat.stderr
    new = [each for each in tickets(any_stack) if each not in before]
    assert [each["number"] for each in new] == [TICKET.findall(chat.stdout)[-1]]

"""A conversation with demo-rules without services: two agents, a tool executor with invented facts, a confirmation gate."""

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from local_stack.demo_rules.conversation import Reply, read_conversation
from local_stack.demo_rules.flow import reply_to

type Json = dict[str, Any]

CONFIRM = "open_laptop_refresh_ticket"
MOST_ROUNDS = 10
LAPTOP: Json = {
    "name": "NB-0815",
    "model": "Quillbook 7 Zeta",
    "serial_number": "SN-4711-XYZ",
    "asset_tag": "A-1",
    "device_class": "standard",
    "purchase_date": "2021-02-03",
    "age_months": 58,
    "age_text": "4 years and 10 months",
    "warranty_expiry": "2024-02-03",
    "warranty_status": "expired",
}
SECOND_LAPTOP: Json = LAPTOP | {
    "name": "NB-0816",
    "model": "Sparkpad X9",
    "serial_number": "SN-9999-ABC",
    "asset_tag": "A-2",
}
OPTIONS: list[Json] = [
    {
        "number": 1,
        "code": "quill_air_m_3",
        "manufacturer": "Quill",
        "model": "Quillbook Air M3",
        "target_user": "office",
    },
    {
        "number": 2,
        "code": "quill_pro_14",
        "manufacturer": "Quill",
        "model": "Quillbook Pro 14",
        "target_user": "developer",
    },
    {
        "number": 3,
        "code": "spark_t14_g5",
        "manufacturer": "Spark",
        "model": "Sparkpad T14 Gen 5",
        "target_user": "office",
    },
    {
        "number": 4,
        "code": "spark_p1_g7",
        "manufacturer": "Spark",
        "model": "Sparkpad P1 Gen 7",
        "target_user": "engineer",
    },
]
SYSTEMS = ("QuillOS", "QuillOS", "Windows", "Linux")
for _option, _os in zip(OPTIONS, SYSTEMS, strict=True):
    _option |= {
        "cost": 1000 + 250 * _option["number"],
        "os": _os,
        "weight": f"1.{_option['number']} kg",
        "ports": ["USB-C", "HDMI"],
    }


def answers() -> dict[str, Any]:
    """What each tool returns; a string is a failure in words, a function gets the arguments."""
    return copy.deepcopy(
        {
            "find_my_laptops": {
                "employee": {"name": "Ana Quist", "email": "ana@example.org", "location": "Lisbon", "region": "EMEA"},
                "laptops": [LAPTOP],
            },
            "check_laptop_eligibility": {
                "serial_number": LAPTOP["serial_number"],
                "eligible": True,
                "verdict": "Your Quillbook 7 Zeta is 58 months old and its cycle is 44 months, so you are eligible.",
                "policy_section": "3. Eligibility",
                "approval_note": "Your manager approves the request.",
            },
            "list_laptop_options": {"region": "EMEA", "currency": "EUR", "options": OPTIONS},
            "open_laptop_refresh_ticket": {
                "status": "opened",
                "ticket_number": "REQ0042137",
                "model": "Quillbook 7 Zeta",
                "team": "IT Hardware",
                "state": "open",
                "updates": "by e-mail",
            },
            "list_my_open_tickets": {
                "tickets": [{"ticket_number": "REQ0000007", "short_description": "Laptop refresh", "state": "open"}]
            },
            "search_knowledge": {
                "results": [
                    {
                        "document": "Remote work",
                        "section": "VPN",
                        "text": "Start the VPN client and sign in.",
                        "score": 0.4,
                    },
                    {"document": "Refresh policy", "section": "3. Eligibility", "text": "Eligible after 44 months."},
                    {
                        "document": "Refresh policy",
                        "section": "4. Return",
                        "text": "Return the old laptop within 14 days.",
                    },
                ]
            },
        }
    )


def tool(name: str, parameters: Iterable[str] = (), agents: Iterable[str] = ()) -> Json:
    properties: Json = {parameter: {"type": "string"} for parameter in parameters}
    if agents:
        properties["agent"] = {"type": "string", "enum": list(agents)}
    schema = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "description": "", "parameters": schema}}


AGENTS: dict[str, list[Json]] = {
    "routing-agent": [tool("transfer_to_agent", agents=["laptop-refresh"]), tool("search_knowledge", ["query"])],
    "laptop-refresh": [
        tool("find_my_laptops"),
        tool("check_laptop_eligibility", ["serial_number"]),
        tool("list_laptop_options"),
        tool(CONFIRM, ["laptop_code", "business_justification", "serial_number"]),
        tool("list_my_open_tickets"),
        tool("search_knowledge", ["query"]),
        tool("transfer_to_agent", agents=["routing-agent"]),
    ],
}


@dataclass
class Talk:
    """`say` plays one turn as agent-service does and returns what the person reads."""

    answers: dict[str, Any] = field(default_factory=answers)
    agent: str = "routing-agent"
    messages: list[Json] = field(default_factory=list)
    called: list[tuple[str, Json]] = field(default_factory=list)
    confirming: Json | None = None
    forgets_tools: bool = False
    think: Callable[[list[Json], list[Json]], Reply] = lambda messages, tools: reply_to(
        read_conversation(messages, tools)
    )

    def say(self, text: str) -> str:
        self.called.clear()
        if self.forgets_tools:
            self.messages = [m for m in self.messages if m["role"] in ("user", "assistant") and m.get("content")]
        self.messages.append({"role": "user", "content": text})
        if self.confirming is not None and text in ("yes", "no"):
            self._decide(text)
        for _ in range(MOST_ROUNDS):
            reply = self.think(
                [{"role": "system", "content": f"You are {self.agent}."}, *self.messages], AGENTS[self.agent]
            )
            if reply.text:
                return self._told(reply.text)
            for call in reply.calls:
                message = self._call_message(call.name, call.arguments)
                if call.name == CONFIRM:
                    self.confirming = message
                    return self._told(f"Please confirm: open a ticket for {call.arguments['laptop_code']}? (yes/no)")
                self._run(message, call.name, call.arguments)
        raise AssertionError(f"no answer after {MOST_ROUNDS} rounds: {self.called}")

    def _decide(self, text: str) -> None:
        message, self.confirming = self.confirming, None
        assert message is not None
        function = message["tool_calls"][0]["function"]
        if text == "yes":
            self._run(message, function["name"], json.loads(function["arguments"]))
        else:
            self._answered(message, json.dumps({"status": "declined"}))

    def _run(self, message: Json, name: str, arguments: Json) -> None:
        self.called.append((name, arguments))
        if name == "transfer_to_agent":
            self.agent = arguments["agent"]
            self._answered(message, json.dumps({"agent": self.agent}))
            return
        answer = self.answers[name]
        answer = answer(arguments) if callable(answer) else answer
        self._answered(message, f"Error: {answer}" if isinstance(answer, str) else json.dumps(answer))

    def _call_message(self, name: str, arguments: Json) -> Json:
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"id": f"call_{len(self.messages)}", "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}

    def _answered(self, message: Json, text: str) -> None:
        self.messages += [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": text}]

    def _told(self, text: str) -> str:
        self.messages.append({"role": "assistant", "content": text})
        return text

    @property
    def tools_called(self) -> list[str]:
        return [name for name, _ in self.called]

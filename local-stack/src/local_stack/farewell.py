"""The last thing that `make up` prints: where everything is, and one line to try."""

import json

from local_stack.access import Access, employee
from local_stack.wiring import Wiring

FIRST_WORDS = "I need a new laptop"


def farewell(wiring: Wiring, access: Access, *, ready_s: float) -> str:
    """Plain text; the curl line works when it is pasted as it is."""
    body = json.dumps({"content": FIRST_WORDS})
    curl = (
        f"curl -s {access.url}/api/v1/requests/cli -H 'Authorization: Bearer {access.token}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )
    places = {
        "API": f"{access.url} (documentation: {access.url}/docs)",
        "agent-service": f"http://127.0.0.1:{wiring.ports.agent_service}",
        "integration-dispatcher": f"http://127.0.0.1:{wiring.ports.integration_dispatcher}",
        "model": f"{wiring.model.model} at {wiring.model.url}",
        "messages": _way(wiring),
        **{name: f"{url} (open it in a browser)" for name, url in _pages(wiring).items()},
        "ServiceNow stand-in": f"http://127.0.0.1:{wiring.ports.servicenow}",
        "logs": str(wiring.state_dir / "logs"),
        "token": f"{access.token} ({employee().name}; an operator's is in {wiring.state_dir / 'env'})",
    }
    lines = [f"Ready after {ready_s:.1f} s. Ctrl-C ends everything.", ""]
    lines += [f"  {name:<23}{place}" for name, place in places.items()]
    return "\n".join([*lines, "", "Try it:", "", f"  {curl}", ""])


def _pages(wiring: Wiring) -> dict[str, str]:
    """What people open to see the other sides of the integrations, by name."""
    pages = {each.name: each.url for each in wiring.integrations()}
    inbox = {"webhook inbox": f"{wiring.phones().url}/webhooks/"} if wiring.stand_ins.webhook_inbox else {}
    return pages | inbox


def _way(wiring: Wiring) -> str:
    if wiring.broker is None:
        return "by direct HTTP"
    what = "the local broker, a stand-in for Knative's" if wiring.broker.is_ours else "the broker of BROKER_URL"
    return f"as events through {what}, at {wiring.broker.url}"

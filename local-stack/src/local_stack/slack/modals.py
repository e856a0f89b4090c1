"""What a person does in a modal, and what the app's answer makes of it.

Source: https://docs.slack.dev/surfaces/modals#handling_submissions"""

import secrets

from local_stack.slack import payloads
from local_stack.slack.blocks import check_view
from local_stack.slack.errors import Refused
from local_stack.slack.records import Json, View
from local_stack.slack.standin import Standin


async def submit(standin: Standin, who: str, view_id: str, values: Json) -> dict[str, str]:
    """`values`: block id → action id → {type, value}. Return what is wrong per block; empty when it was taken.

    Raises Refused for a view that is not open and an app that did not take it."""
    view = _open(standin, who, view_id)
    view.values = values
    member = standin.workspace.member(who)
    sent = await standin.sender.interactive(payloads.view_submission(member, view))
    if not sent.is_taken:
        raise Refused("app_did_not_answer")
    answer = sent.json() or {}
    match answer.get("response_action"):
        case "errors":
            return {str(block): str(words) for block, words in answer.get("errors", {}).items()}
        case "update":
            view.content, view.hash = check_view(answer["view"]), secrets.token_hex(8)
            standin.workspace.tell("view", view.to_api(), user=view.user)
        case "push":
            above = View(f"V{secrets.token_hex(5).upper()}", view.user, check_view(answer["view"]), "0", view)
            standin.workspace.views[above.id] = above
            standin.workspace.tell("view", above.to_api(), user=view.user)
        case "clear":
            _drop(standin, view, whole_stack=True)
        case _:
            _drop(standin, view, whole_stack=False)
    return {}


async def close(standin: Standin, who: str, view_id: str) -> None:
    """The person leaves the modal without sending it."""
    view = _open(standin, who, view_id)
    _drop(standin, view, whole_stack=False)
    if view.content.get("notify_on_close"):
        member = standin.workspace.member(who)
        await standin.sender.interactive(payloads.view_closed(member, view, is_cleared=False))


def _open(standin: Standin, who: str, view_id: str) -> View:
    view = standin.workspace.views.get(view_id)
    if view is None or view.user != standin.workspace.member(who).id:
        raise Refused("not_found")
    return view


def _drop(standin: Standin, view: View, *, whole_stack: bool) -> None:
    """Close it; the one below shows again."""
    del standin.workspace.views[view.id]
    below = view.below
    while whole_stack and below is not None:
        del standin.workspace.views[below.id]
        below = below.below
    shown = below.to_api() if below else {"id": ""}
    standin.workspace.tell("view", shown, user=view.user)

"""All other methods: who we are, sockets, reactions, modals, the status below a thread."""

import re
import secrets

from local_stack.slack.blocks import VIEW_BYTES, check_view
from local_stack.slack.call import Call
from local_stack.slack.errors import Refused
from local_stack.slack.members import APP_ID, BOT, BOT_ID, BOT_USER_ID, TEAM_DOMAIN, TEAM_ID, TEAM_NAME
from local_stack.slack.records import Json, Message, Trigger, View

EMOJI = re.compile(r"[a-z0-9_+'-]{1,100}(::skin-tone-[2-6])?")
MOST_VIEWS = 3
SESSION_STATUSES = ("processing", "active", "suspended", "closed")


async def api_test(call: Call) -> Json:
    if error := call.text("error"):
        raise Refused(error, args=call.arguments)
    return {"args": call.arguments}


async def auth_test(call: Call) -> Json:
    return {
        "url": f"https://{TEAM_DOMAIN}.slack.com/",
        "team": TEAM_NAME,
        "user": BOT.user_name,
        "team_id": TEAM_ID,
        "user_id": BOT_USER_ID,
        "bot_id": BOT_ID,
        "app_id": APP_ID,
        "is_enterprise_install": False,
    }


async def connections_open(call: Call) -> Json:
    """Source: https://docs.slack.dev/reference/methods/apps.connections.open"""
    ticket = call.standin.sockets.new_ticket()
    base = call.standin.settings.public_url.rstrip("/").replace("http", "ws", 1)
    return {"url": f"{base}/link?ticket={ticket}&app_id={APP_ID}"}


async def reactions_add(call: Call) -> Json:
    message, name = _reacted(call)
    users = message.reactions.setdefault(name, [])
    if BOT_USER_ID in users:
        raise Refused("already_reacted")
    users.append(BOT_USER_ID)
    call.workspace.changed(message)
    return {}


async def reactions_remove(call: Call) -> Json:
    message, name = _reacted(call)
    users = message.reactions.get(name, [])
    if BOT_USER_ID not in users:
        raise Refused("no_reaction")
    users.remove(BOT_USER_ID)
    message.reactions = {name: users for name, users in message.reactions.items() if users}
    call.workspace.changed(message)
    return {}


def _reacted(call: Call) -> tuple[Message, str]:
    name = call.needed("name", "invalid_name").strip(":")
    if not EMOJI.fullmatch(name):
        raise Refused("invalid_name")
    channel = call.joined()
    return call.workspace.find(channel.id, call.needed("timestamp", "no_item_specified")), name


async def views_open(call: Call) -> Json:
    """Source: https://docs.slack.dev/reference/methods/views.open"""
    content, trigger = _view(call), _trigger(call)
    return {"view": _show(call, View(_view_id(), trigger.user, content, _hash())).to_api()}


async def views_push(call: Call) -> Json:
    """A view above the one that is open."""
    content, trigger = _view(call), _trigger(call)
    below = call.workspace.open_view(trigger.user)
    if below is None:
        raise Refused("not_found")
    if below.depth >= MOST_VIEWS:
        raise Refused("push_limit_reached")
    return {"view": _show(call, View(_view_id(), trigger.user, content, _hash(), below)).to_api()}


async def views_update(call: Call) -> Json:
    view_id, external_id = call.text("view_id"), call.text("external_id")
    views = call.workspace.views.values()
    found = [
        each for each in views if each.id == view_id or (external_id and each.content.get("external_id") == external_id)
    ]
    if not found:
        raise Refused("not_found")
    view, given = found[0], call.text("hash")
    if given and given != view.hash:
        raise Refused("hash_conflict")
    view.content, view.hash = _view(call), _hash()
    return {"view": _show(call, view).to_api()}


def _view(call: Call) -> Json:
    view = check_view(call.structure("view", "invalid_arguments"))
    if len(str(view).encode()) > VIEW_BYTES:
        raise Refused("view_too_large")
    return view


def _trigger(call: Call) -> Trigger:
    """Good for one call, within three seconds. Raises Refused."""
    trigger = call.workspace.triggers.get(call.needed("trigger_id"))
    if trigger is None:
        raise Refused("invalid_trigger_id")
    if trigger.is_used:
        raise Refused("exchanged_trigger_id")
    if call.standin.now() - trigger.issued_s > call.standin.settings.trigger_s:
        raise Refused("expired_trigger_id")
    trigger.is_used = True
    return trigger


def _show(call: Call, view: View) -> View:
    call.workspace.views[view.id] = view
    call.workspace.tell("view", view.to_api(), user=view.user)
    return view


def _view_id() -> str:
    return f"V{secrets.token_hex(5).upper()}"


def _hash() -> str:
    return secrets.token_hex(8)


async def thread_status(call: Call) -> Json:
    """Source: https://docs.slack.dev/reference/methods/assistant.threads.setStatus"""
    channel = call.joined("channel_id")
    thread_ts = call.needed("thread_ts", "invalid_thread_ts")
    call.workspace.thread(channel.id, thread_ts)
    if "status" not in call.arguments:
        raise Refused("invalid_arguments")
    call.workspace.set_status(channel.id, thread_ts, call.text("status"))
    return {}


async def session_status(call: Call) -> Json:
    """Source: https://docs.slack.dev/reference/methods/agents.sessions.setStatus"""
    channel, thread_ts, status = call.joined("channel_id"), call.text("thread_ts"), call.needed("status")
    if status not in SESSION_STATUSES:
        raise Refused("invalid_arguments", response_metadata={"messages": ["[ERROR] unknown status"]})
    if thread_ts:
        call.workspace.thread(channel.id, thread_ts)
    words = call.text("title", "is working on it…") if status == "processing" else ""
    call.workspace.set_status(channel.id, thread_ts, words, can_stop=bool(words))
    return {}

"""`response_url`: what an app posts to it without a token, five times in half an hour.

Source: https://docs.slack.dev/interactivity/handling-user-interaction#message_responses"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from local_stack.slack.blocks import check_message_blocks
from local_stack.slack.errors import Refused
from local_stack.slack.members import BOT_USER_ID
from local_stack.slack.records import Json, Message, ResponseUrl
from local_stack.slack.workspace import Workspace

MOST_USES = 5
VALID_S = 1800.0


@dataclass
class Responses:
    """`post` adds a message that all in the channel see."""

    workspace: Workspace
    public_url: str
    post: Callable[[Message], Message]

    def new_url(self, user: str, channel: str, message: Message | None = None) -> str:
        key = secrets.token_urlsafe(24)
        thread_ts, ts = (message.thread_ts, message.ts) if message else ("", "")
        self.workspace.response_urls[key] = ResponseUrl(user, channel, thread_ts, ts, self.workspace.now())
        return f"{self.public_url.rstrip('/')}/respond/{key}"

    def use(self, key: str, body: Json) -> None:
        """Raises Refused: expired_url, used_url, or what is wrong with the body."""
        url = self.workspace.response_urls.get(key)
        if url is None or self.workspace.now() - url.issued_s > VALID_S:
            raise Refused("expired_url")
        if url.uses >= MOST_USES:
            raise Refused("used_url")
        url.uses += 1
        if url.message_ts and (body.get("replace_original") or body.get("delete_original")):
            self._replace(url, body)
        else:
            self.answer(url.user, url.channel, body, thread_ts=str(body.get("thread_ts") or url.thread_ts))

    def answer(self, user: str, channel: str, body: Json, *, thread_ts: str = "") -> Message:
        """Show an answer: to the person alone, or to all with `response_type` in_channel."""
        text, blocks = content(body)
        is_for_all = body.get("response_type") == "in_channel"
        message = Message(
            channel,
            self.workspace.new_ts(),
            BOT_USER_ID,
            text,
            blocks,
            thread_ts=thread_ts,
            is_bot=True,
            only_for="" if is_for_all else user,
        )
        return self.post(message) if is_for_all else self.workspace.add_ephemeral(message)

    def _replace(self, url: ResponseUrl, body: Json) -> None:
        seen = (*self.workspace.ephemeral, *self.workspace.messages[url.channel])
        message = next((each for each in seen if (each.channel, each.ts) == (url.channel, url.message_ts)), None)
        if message is None:
            raise Refused("message_not_found")
        if body.get("delete_original"):
            self.workspace.remove(message)
            return
        message.text, message.blocks = content(body)
        self.workspace.note_pings(message)
        self.workspace.changed(message)


def content(body: Json) -> tuple[str, list[Json]]:
    """The text and the checked blocks of a message. Raises Refused: no_text, invalid_blocks."""
    text = body.get("text") or ""
    blocks = check_message_blocks(body["blocks"]) if body.get("blocks") else []
    if not isinstance(text, str) or not (text or blocks):
        raise Refused("no_text")
    return text, blocks

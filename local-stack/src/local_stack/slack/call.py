"""One call of a method, with its arguments read as Slack reads them."""

import json
from dataclasses import dataclass
from typing import Any

from local_stack.slack.errors import Refused
from local_stack.slack.members import BOT_USER_ID
from local_stack.slack.records import Channel, Json
from local_stack.slack.standin import Standin
from local_stack.slack.workspace import Workspace


@dataclass(frozen=True)
class Call:
    standin: Standin
    method: str
    arguments: Json

    @property
    def workspace(self) -> Workspace:
        return self.standin.workspace

    def text(self, name: str, default: str = "") -> str:
        value = self.arguments.get(name)
        return default if value is None else str(value)

    def needed(self, name: str, error: str = "invalid_arguments") -> str:
        """Raises Refused."""
        value = self.text(name)
        if not value:
            messages = [f"[ERROR] missing required field: {name}"]
            raise Refused(error, response_metadata={"messages": messages})
        return value

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("true", "1", "yes")

    def number(self, name: str, default: int, most: int) -> int:
        """Raises Refused: invalid_limit."""
        given = self.text(name)
        if not given:
            return default
        if not given.isdecimal() or not 1 <= int(given) <= most:
            raise Refused("invalid_limit")
        return int(given)

    def structure(self, name: str, error: str) -> Any:
        """An argument that is JSON: as it is in a JSON body, as a string in a form. Raises Refused."""
        value = self.arguments.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError:
            raise Refused(error) from None

    def channel(self, name: str = "channel") -> Channel:
        """Raises Refused: channel_not_found."""
        return self.workspace.channel(self.needed(name, "channel_not_found"))

    def joined(self, name: str = "channel") -> Channel:
        """A channel that the app may write into. Raises Refused."""
        channel = self.channel(name)
        if channel.is_archived:
            raise Refused("is_archived")
        if BOT_USER_ID not in channel.members:
            raise Refused("not_in_channel")
        return channel

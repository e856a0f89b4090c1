"""Where a person is in Slack: their user id by e-mail address, and the direct message with them. Both are remembered."""

import time
from collections.abc import Awaitable, Callable

from integration_dispatcher.slack_api import SlackApi, text_at

REMEMBERED_S = 3600.0
MAX_REMEMBERED = 10_000


class SlackPeople:
    def __init__(self, api: SlackApi, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[str, float]] = {}

    async def by_email(self, email: str) -> str:
        """The user's id. Raises as SlackApi.call; SlackRefused `users_not_found`: nobody has this address."""

        async def look_up() -> str:
            reply = await self._api.call("users.lookupByEmail", {"email": email})
            return text_at(reply, "user", "id")

        return await self._remembered(("email", email.lower()), look_up)

    async def direct_message(self, user: str) -> str:
        """The id of the conversation with this user; opening it again changes nothing. Raises as SlackApi.call."""

        async def open_it() -> str:
            reply = await self._api.call("conversations.open", {"users": user})
            return text_at(reply, "channel", "id")

        return await self._remembered(("user", user), open_it)

    async def _remembered(self, key: tuple[str, str], ask: Callable[[], Awaitable[str]]) -> str:
        known = self._known.get(key)
        if known is not None and known[1] > self._clock():
            return known[0]
        found = await ask()
        if len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        self._known[key] = (found, self._clock() + REMEMBERED_S)
        return found

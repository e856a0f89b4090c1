"""Which person a member of the Slack workspace is: by the e-mail address that the workspace has verified.

Source: https://docs.slack.dev/reference/methods/users.info"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from shared_models.api import UserView
from shared_models.enums import IntegrationType

from integration_dispatcher.inbound.people import People
from integration_dispatcher.inbound.slack_calls import SlackCalls

REMEMBERED_S = 600.0
MAX_REMEMBERED = 10_000
UNKNOWN_USERS = ("user_not_found", "user_not_visible", "users_not_found")


@dataclass(frozen=True)
class Member:
    """`email`: empty unless it is a verified one of a present human member of this very workspace."""

    name: str = ""
    email: str = ""


class SlackIdentity:
    """Remembers members for ten minutes."""

    def __init__(self, calls: SlackCalls, people: People, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._calls = calls
        self._people = people
        self._clock = clock
        self._members: dict[tuple[str, str], tuple[Member, float]] = {}

    async def person(self, team: str, user: str) -> UserView | None:
        """None: nobody whom we may answer. Raises as SlackCalls and request-manager's client."""
        external_id = f"{team}:{user}"
        known = self._people.remembered(IntegrationType.SLACK, external_id)
        if known is not None:
            return known
        member = await self.member(team, user)
        if not member.email:
            return None
        return await self._people.resolve(
            IntegrationType.SLACK, external_id, email=member.email, name=member.name[:200]
        )

    async def member(self, team: str, user: str) -> Member:
        known = self._members.get((team, user))
        if known is not None and known[1] > self._clock():
            return known[0]
        reply = await self._calls.ask("users.info", {"user": user}, none_for=UNKNOWN_USERS)
        member = _member(reply.get("user"), team) if reply is not None else Member()
        if len(self._members) >= MAX_REMEMBERED:
            self._members.clear()
        if member.email:
            self._members[team, user] = (member, self._clock() + REMEMBERED_S)
        return member


def _member(user: object, team: str) -> Member:
    if not isinstance(user, dict):
        return Member()
    profile = user.get("profile")
    profile = profile if isinstance(profile, dict) else {}
    name = str(profile.get("real_name") or user.get("real_name") or user.get("name") or "")
    is_ours = team in _teams(user) and not user.get("is_stranger")
    is_present = not user.get("deleted") and not user.get("is_bot")
    is_verified = bool(user.get("is_email_confirmed")) and "@" in str(profile.get("email") or "")
    return Member(name, str(profile["email"]) if is_ours and is_present and is_verified else "")


def _teams(user: dict[str, object]) -> list[object]:
    """In an Enterprise organisation a person belongs to several workspaces."""
    organisation = user.get("enterprise_user")
    teams = organisation.get("teams") if isinstance(organisation, dict) else None
    return [user.get("team_id"), *(teams if isinstance(teams, list) else [])]

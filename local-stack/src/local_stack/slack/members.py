"""Who is in the workspace: the people of the ServiceNow stand-in with the same addresses, an operator, and the app."""

from dataclasses import dataclass
from typing import Any

from local_stack.servicenow.people import new_sys_id, shipped_people

TEAM_ID = "T0STANDIN1"
TEAM_NAME = "Example Company"
TEAM_DOMAIN = "stand-in"
APP_ID = "A0STANDIN1"
APP_NAME = "Self-Service Agent"
BOT_ID = "B0STANDIN1"
BOT_USER_ID = "U0STANDIN1"


@dataclass(frozen=True)
class Member:
    id: str
    user_name: str
    name: str
    email: str
    title: str = ""
    is_bot: bool = False
    is_active: bool = True

    def to_api(self, *, with_email: bool) -> dict[str, Any]:
        """Source: https://docs.slack.dev/reference/objects/user-object"""
        profile = {
            "title": self.title,
            "real_name": self.name,
            "display_name": self.user_name,
            "team": TEAM_ID,
            **({"email": self.email} if with_email and self.email else {}),
            **({"api_app_id": APP_ID, "bot_id": BOT_ID} if self.is_bot else {}),
        }
        return {
            "id": self.id,
            "team_id": TEAM_ID,
            "name": self.user_name,
            "deleted": not self.is_active,
            "real_name": self.name,
            "tz": "Europe/London",
            "tz_offset": 0,
            "profile": profile,
            "is_bot": self.is_bot,
            "is_app_user": False,
            "is_admin": False,
            "is_restricted": False,
            "is_ultra_restricted": False,
            "is_stranger": False,
            "is_email_confirmed": bool(self.email),
        }


BOT = Member(BOT_USER_ID, "self-service-agent", APP_NAME, "", is_bot=True)


def new_id(letter: str, key: str) -> str:
    """An id in Slack's form, the same at every start."""
    return letter + new_sys_id("slack", f"{letter}:{key}")[:10].upper()


def shipped_members() -> tuple[Member, ...]:
    people = [
        Member(new_id("U", each.user_name), each.user_name, each.name, each.email, each.title, is_active=each.active)
        for each in shipped_people()
    ]
    operator = Member(new_id("U", "olivia"), "olivia", "Olivia Operator", "olivia@example.com", "IT operations")
    return (*people, operator, BOT)

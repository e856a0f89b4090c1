"""What the page of phones asks for: the phones with their messages, and what a person does with one."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from local_stack.pages.site import check_from_this_machine
from local_stack.sms.standin import SmsStandin

Phone = Annotated[str, Path(pattern=r"^\+[1-9]\d{7,14}$")]


class Text(BaseModel):
    model_config = ConfigDict(extra="forbid")

    body: str = Field(min_length=1, max_length=1600)


class Switch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    is_on: bool


def browser(standin: SmsStandin) -> APIRouter:
    router = APIRouter(prefix="/phones", dependencies=[Depends(check_from_this_machine)])

    @router.get("")
    async def phones() -> dict[str, object]:
        """Every phone that has a name or a message."""
        numbers = [*standin.people, *(each.phone for each in standin.kept.messages)]
        return {
            "version": standin.version,
            "service_number": standin.settings.number,
            "phones": [_phone(standin, number) for number in dict.fromkeys(numbers)],
        }

    @router.post("/{phone}/texts", status_code=204)
    async def text(phone: Phone, given: Text) -> None:
        await standin.text(phone, given.body)

    @router.put("/{phone}", status_code=204)
    async def switch(phone: Phone, given: Switch) -> None:
        standin.switch(phone, is_on=given.is_on)

    return router


def _phone(standin: SmsStandin, number: str) -> dict[str, object]:
    messages = [each for each in standin.kept.messages if each.phone == number]
    return {
        "number": number,
        "name": standin.people.get(number, ""),
        "is_on": number not in standin.kept.switched_off,
        "has_stopped": number in standin.kept.stopped,
        "messages": [each.model_dump(mode="json", exclude={"callback_url"}) for each in messages],
    }

"""What the SMS provider calls us for: reports on messages, and texts of people. Every report is a row before it is answered."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import UUID

from shared_models.database import Database
from shared_models.errors import MalformedBody, NotAllowed, NotAuthenticated
from shared_models.logging import get_logger

from integration_dispatcher.domain.sms_callbacks import Wish, is_signed, rank_of, reason_of, wish_of
from integration_dispatcher.settings_sms import SmsAccount
from integration_dispatcher.store import sms as store

MAX_FIELDS = 100

log = get_logger(__name__)


@dataclass(frozen=True)
class SmsCallbacks:
    """`fall_back(request)` starts the next integration; `wake_events()` sends what was queued for request-manager."""

    database: Database
    account: SmsAccount
    public_url: str
    fall_back: Callable[[UUID], Awaitable[None]]
    wake_events: Callable[[], None]

    def read(self, path: str, query: str, body: bytes, signed: str) -> dict[str, str]:
        """The fields of a call that the provider has signed for our address. Raises NotAuthenticated, NotAllowed, MalformedBody.

        Without SMS_CALLBACK_URL there is nothing to check against, and nobody gets in."""
        if not signed:
            raise NotAuthenticated(hint="The SMS provider signs its calls with X-Twilio-Signature.")
        form = fields_of(body)
        base = self.account.callback_url
        url = f"{base}{path}?{query}" if query else f"{base}{path}"
        if not base or not is_signed(signed, url, form, self.account.auth_token):
            raise NotAllowed("The signature is not the SMS provider's for this address and these fields.")
        if form.get("AccountSid", self.account.account_sid) != self.account.account_sid:
            raise NotAllowed("The call is of another account.")
        return form

    async def take_report(self, form: Mapping[str, str], delivery_id: UUID, part: int) -> None:
        """A message's new status, in any order, any number of times."""
        status = form.get("MessageStatus", "")
        rank, sid = rank_of(status), form.get("MessageSid", "")
        if rank is None or not sid:
            return
        code = form.get("ErrorCode", "")
        error_code = int(code) if code.isascii() and code.isdigit() and len(code) < 9 else None
        told = store.Report(sid[:64], delivery_id, part, status, rank, error_code)
        if await store.report(self.database, told):
            await self._undo(told.sid, error_code)

    async def take_text(self, form: Mapping[str, str]) -> str:
        """A person's text. Returns what to answer; empty: nothing."""
        sid, phone = form.get("MessageSid", ""), form.get("From", "")
        if not sid or not phone.startswith("+"):
            return ""
        wish = wish_of(form.get("Body", ""), form.get("OptOutType", ""))
        # The provider itself answers STOP, START and HELP.
        is_question = wish is Wish.OTHER
        is_to_answer = await store.text(self.database, sid[:64], phone[:20], wish.value, is_question=is_question)
        return self._polite() if is_to_answer else ""

    def _polite(self) -> str:
        where = f" at {self.public_url}" if self.public_url else ""
        return f"This number only sends answers, nobody reads replies. Ask where you asked before, or{where or ' on the web'}. STOP ends these messages."

    async def sweep(self) -> None:
        """Reports that came before the end of their delivery was written."""
        for sid, error_code in await store.due(self.database):
            await self._undo(sid, error_code)

    async def _undo(self, sid: str, error_code: int | None) -> None:
        undone = await store.undelivered(self.database, sid, reason_of(error_code), error_code)
        if undone.has_event:
            self.wake_events()
        if undone.falls_back is not None:
            await self.fall_back(undone.falls_back)


def fields_of(body: bytes) -> dict[str, str]:
    """The form's fields. Raises MalformedBody for what is none, or has a field twice: our provider sends none such."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as exc:
        raise MalformedBody("The body is no form.") from exc
    form = dict(pairs)
    if len(form) != len(pairs) or any("\x00" in value for value in form.values()):
        raise MalformedBody("The form has a field twice, or a NUL.")
    return form

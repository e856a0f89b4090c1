"""SMS: one text of at most three segments per answer. Imported only where SMS is set up (see domain/sms.py)."""

import hashlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import urlencode
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError
from shared_models.errors import InvalidRequest, Unavailable
from shared_models.schemas import AgentResponse, Metadata

from integration_dispatcher.domain.schedule import Schedule
from integration_dispatcher.domain.selection import Defaults
from integration_dispatcher.domain.sms import NoPhoneNumber, phone_number, sms_text
from integration_dispatcher.domain.sms_callbacks import FAILURES
from integration_dispatcher.domain.templates import words
from integration_dispatcher.handlers.base import Delivered, Edges, IntegrationConfig, Message, Notice, Settled
from integration_dispatcher.settings_sms import SmsAccount
from integration_dispatcher.sms_provider import SentSms, SmsProvider, StoppedByPhone
from integration_dispatcher.store.sms import Journal

STATUS_PATH = "/sms/status"
CLOCKS_DIFFER = timedelta(minutes=5)
TRIAL_PREFIX = "Sent from your Twilio trial account - "
ONLY_PHONE = "config: SMS has one setting, phone"


class SmsConfig(IntegrationConfig):
    phone: str = ""


class SmsChange(BaseModel):
    """What a person may send as `config`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, coerce_numbers_to_str=True)

    phone: str


class SmsJournal(Protocol):
    """What the dispatcher keeps about messages and phones (store/sms.py)."""

    async def known(self, delivery_id: UUID, part: int) -> str | None:
        """The provider's name of the message of this part that was sent and has not failed."""

    async def claim(self, sent: SentSms, delivery_id: UUID, part: int) -> bool:
        """Note that this message is that part's. False when it is another delivery's."""

    async def stop(self, phone: str) -> None:
        """Note that this phone wants no messages."""


class SmsIntegrationHandler:
    config_type = SmsConfig
    defaults = Defaults(enabled=True, priority=4, retry_count=5, retry_delay_s=30)
    schedule = Schedule(growth=2, cap_s=900, expires_after_s=3600)

    def __init__(self, provider: SmsProvider, journal: SmsJournal, *, public_url: str, callback_url: str) -> None:
        self._provider = provider
        self._journal = journal
        self._public_url = public_url.rstrip("/")
        self._callback_url = callback_url

    def is_set_up(self, config: Metadata) -> bool:
        return bool(config.get("phone"))

    def settle(self, given: Metadata, known: IntegrationConfig | None, now: datetime) -> Settled:
        try:
            change = SmsChange.model_validate(given)
        except ValidationError as exc:
            raise InvalidRequest(ONLY_PHONE) from exc
        try:
            return Settled(shown={"phone": phone_number(change.phone)})
        except NoPhoneNumber as exc:
            raise InvalidRequest(f"config.phone: {exc}") from exc

    def address(self, config: Metadata) -> str:
        return str(config.get("phone", ""))

    def target(self, answer: AgentResponse, user_id: UUID, config: Metadata) -> str:
        """The last digits, and a short hash of person and number: operators read lists of targets."""
        phone = str(config.get("phone", ""))
        digest = hashlib.sha256(f"{user_id} {phone}".encode()).hexdigest()[:16]
        return f"…{phone[-4:]}#{digest}"

    def parts(self, answer: AgentResponse, config: Metadata) -> list[str]:
        """One text. What does not fit into three segments is cut, and a link leads to the whole."""
        link = f"{self._public_url}/api/v1/requests/{answer.request_id}/result" if self._public_url else ""
        text = sms_text(words(answer), link)
        return [text or sms_text(f"Your request is done. {link}", link)]

    async def deliver(self, message: Message, config: IntegrationConfig) -> Delivered:
        assert isinstance(config, SmsConfig)
        if message.attempt > 1 and (sid := await self._sent_before(message, config.phone)):
            return Delivered(provider_id=sid)
        sent = await self._send(config.phone, message.body, self._report_to(message))
        with suppress(Unavailable):  # it was sent: the provider's first report writes the row as well
            await self._journal.claim(sent, message.delivery_id, message.part)
        return Delivered(provider_id=sent.sid, code=201)

    async def notify(self, notice: Notice, config: IntegrationConfig) -> bool:
        """A code that arrives twice does no harm: nothing is looked up."""
        assert isinstance(config, SmsConfig)
        await self._send(config.phone, sms_text(notice.text, ""), "")
        return False

    async def probe(self) -> None:
        await self._provider.check()

    async def _send(self, phone: str, body: str, report_to: str) -> SentSms:
        try:
            return await self._provider.send(phone, body, report_to)
        except StoppedByPhone:
            await self._journal.stop(phone)
            raise

    async def _sent_before(self, message: Message, phone: str) -> str | None:
        """After a try whose end nobody knows: a report has named the message, or the provider lists it."""
        if sid := await self._journal.known(message.delivery_id, message.part):
            return sid
        since = created_at(message.delivery_id) - CLOCKS_DIFFER
        for sent in await self._provider.sent_to(phone, since):
            is_same = sent.body.removeprefix(TRIAL_PREFIX).strip() == message.body.strip()
            is_fresh = sent.created_at >= since and sent.status not in FAILURES
            # Two answers may have the same words: each message counts for one delivery only.
            if is_same and is_fresh and await self._journal.claim(sent, message.delivery_id, message.part):
                return sent.sid
        return None

    def _report_to(self, message: Message) -> str:
        """The delivery stands in the URL, which is signed, so a report that overtakes our own note is understood."""
        if not self._callback_url:
            return ""
        query = urlencode({"delivery": str(message.delivery_id), "part": message.part})
        return f"{self._callback_url}{STATUS_PATH}?{query}"


def sms_handler(edges: Edges, account: SmsAccount) -> SmsIntegrationHandler:
    return SmsIntegrationHandler(
        SmsProvider(edges.http, account),
        Journal(edges.database),
        public_url=edges.settings.public_url,
        callback_url=account.callback_url,
    )


def created_at(delivery_id: UUID) -> datetime:
    """When the delivery was planned: the first 48 bits of its UUIDv7 are milliseconds."""
    return datetime.fromtimestamp((delivery_id.int >> 80) / 1000, UTC)

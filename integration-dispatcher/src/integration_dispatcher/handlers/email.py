"""E-mail: one mail per answer, in the thread that it belongs to. Source: RFC 5321, RFC 5322, RFC 3834."""

from datetime import datetime
from uuid import UUID

from pydantic import ValidationError
from shared_models.errors import InvalidRequest
from shared_models.schemas import AgentResponse, Metadata

from integration_dispatcher.domain.schedule import Schedule
from integration_dispatcher.domain.selection import Defaults
from integration_dispatcher.handlers.base import (
    Delivered,
    DeliveryRejected,
    Edges,
    IntegrationConfig,
    Message,
    Notice,
    Settled,
)
from integration_dispatcher.mail.answers import answer_letter, is_in_thread, notice_letter
from integration_dispatcher.mail.ids import message_id
from integration_dispatcher.mail.letter import Envelope, Letter, Unsendable, check_address
from integration_dispatcher.mail.links import UnsubscribeLinks
from integration_dispatcher.mail.post_office import PostOffice
from integration_dispatcher.vault import Vault


class EmailConfig(IntegrationConfig):
    """`address` empty: the one that the person signs in with."""

    address: str = ""


class EmailIntegrationHandler:
    config_type = EmailConfig
    defaults = Defaults(enabled=True, priority=2, retry_count=10, retry_delay_s=60)
    schedule = Schedule(growth=3, cap_s=4 * 3600, expires_after_s=24 * 3600)

    def __init__(self, office: PostOffice, links: UnsubscribeLinks) -> None:
        self._office = office
        self._links = links

    def is_set_up(self, config: Metadata) -> bool:
        return True

    def settle(self, given: Metadata, known: IntegrationConfig | None, now: datetime) -> Settled:
        try:
            change = EmailConfig.model_validate(given)
        except ValidationError as exc:
            raise InvalidRequest("config: e-mail has address, or nothing for the one you sign in with") from exc
        if not change.address:
            return Settled()
        try:
            return Settled(shown={"address": check_address(change.address)})
        except Unsendable as exc:
            raise InvalidRequest("config.address: one e-mail address, as in ana@example.com") from exc

    def address(self, config: Metadata) -> str:
        return str(config.get("address", ""))

    def target(self, answer: AgentResponse, user_id: UUID, config: Metadata) -> str:
        """Back to the sender of the question, whose address was verified then; else to the person's own."""
        if is_in_thread(answer) and answer.delivery is not None:
            return str(answer.delivery.context.get("email_from", "")).lower()
        return self.address(config) or answer.person.email.lower()

    def parts(self, answer: AgentResponse, config: Metadata) -> list[str]:
        return [answer_letter(answer, domain=self._office.domain).model_dump_json()]

    async def deliver(self, message: Message, config: IntegrationConfig) -> Delivered:
        letter = Letter.model_validate_json(message.body)
        name = message_id(message.id, UUID(letter.session_id), self._office.domain)
        stop = self._ways_to_stop(message.user_id) if not letter.in_reply_to else ()
        envelope = Envelope(self._office.sender, message.target, name, message.sent_at, unsubscribe=stop)
        return await self._send(letter, envelope)

    async def notify(self, notice: Notice, config: IntegrationConfig) -> bool:
        """The code alone proves nothing: whoever reads the mailbox has to type it in."""
        assert isinstance(config, EmailConfig)
        letter = notice_letter(notice.subject, notice.text)
        name = f"<notice.{parse_id(notice.id)}@{self._office.domain}>"
        envelope = Envelope(
            *(self._office.sender, config.address, name, notice.sent_at),
            is_reply=False,
            unsubscribe=self._office.unsubscribe,
        )
        await self._send(letter, envelope)
        return False

    async def probe(self) -> None:
        await self._office.server.probe()

    def _ways_to_stop(self, user_id: UUID) -> tuple[str, ...]:
        """For what a person has not asked by mail: answers to their own mails come in any case."""
        return (self._links.url(user_id), *self._office.unsubscribe) if self._links.are_on else ()

    async def _send(self, letter: Letter, envelope: Envelope) -> Delivered:
        try:
            return await self._office.send(letter, envelope)
        except Unsendable as exc:
            raise DeliveryRejected(str(exc)) from exc


def email_handler(edges: Edges) -> EmailIntegrationHandler:
    settings = edges.settings
    links = UnsubscribeLinks(Vault(settings.keys), settings.email_links_url)
    return EmailIntegrationHandler(PostOffice.of(settings), links)


def parse_id(text: str) -> str:
    """An id as it may stand in a Message-ID."""
    return "".join(each for each in text if each.isascii() and (each.isalnum() or each in ".-"))[:100]

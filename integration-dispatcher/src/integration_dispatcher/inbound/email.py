"""Mail that people send us: who they are, what they ask, in which conversation; and mail that machines send us."""

from datetime import UTC, datetime
from uuid import UUID

from shared_models.api import EmailRequest, UserView
from shared_models.enums import IntegrationType
from shared_models.errors import UpstreamRejected
from shared_models.logging import get_logger
from shared_models.schemas import Metadata
from shared_models.telemetry import MAIL_LOOPS
from shared_models.work_item import GiveUp, RetryLater

from integration_dispatcher.domain.redaction import safe_words
from integration_dispatcher.domain.templates import UNREAD_FILES
from integration_dispatcher.handlers.base import DeliveryDelayed, DeliveryRejected, IntegrationPaused
from integration_dispatcher.inbound.base import InboundEdges
from integration_dispatcher.inbound.forwarding import forward
from integration_dispatcher.mail.answers import MAIL_NOTE, notice_letter
from integration_dispatcher.mail.bounces import Bounce
from integration_dispatcher.mail.ids import session_of
from integration_dispatcher.mail.letter import Envelope, Unsendable
from integration_dispatcher.mail.links import VerifyLinks
from integration_dispatcher.mail.post_office import PostOffice
from integration_dispatcher.mail.received import Received
from integration_dispatcher.mail.unsubscribing import stop_mails
from integration_dispatcher.store import bounces, mailboxes
from integration_dispatcher.store.held_mails import VALID_FOR_HOURS
from integration_dispatcher.store.inbound import Ended, InboundEvent
from integration_dispatcher.vault import Vault

NO_SESSION = frozenset({404, 409})
AGAIN_AFTER_S = 60.0
UNSUBSCRIBE = "unsubscribe"

DOUBT = (
    "A mail with this address as its sender asked for something here, and your mail server did not confirm that it came "
    "from you. So nothing was done."
)
IN_DOUBT = (
    f"{DOUBT} If it was you, please ask on the web or in Slack instead{{link}}, or tell your mail administrator that our "
    "mail server could not verify your domain (DMARC)."
)
TO_VERIFY = (
    f"{DOUBT}\n\nIf it was you, open this page, read what the mail says, and confirm it there; then I go on with it:\n\n"
    f"<{{url}}>\n\nThe page is there for {VALID_FOR_HOURS} hours and works once. If it was not you, there is nothing to do."
)
UNKNOWN = "Your address is not known here. Please sign in once on the web{link}; after that you can ask by mail."
EMPTY = "Your mail held no words that I could read. Please write your question as text."
STOPPED = "You get no more mail from me, but for answers to what you ask by mail. You can switch e-mail on again in your settings."
FAILED = "Your mail could not be worked on because of an error on our side. Please ask again later."
LAST_OF_THE_HOUR = (
    "I answer {count} mails of one sender within an hour, and this was the last one: further ones wait for a person."
)

log = get_logger(__name__)


class EmailProcessor:
    def __init__(self, edges: InboundEdges, office: PostOffice) -> None:
        self._edges = edges
        self._office = office
        url = edges.settings.public_url
        self._verify = VerifyLinks(Vault(edges.settings.keys), edges.settings.email_links_url)
        self._link = f" ({url})" if url else ""
        self._per_hour = edges.settings.email_answers_per_hour

    async def process(self, event: InboundEvent) -> Ended:
        mail = Received.model_validate(event.payload)
        if mail.bounce is not None:
            return await self._bounced(mail.bounce)
        if mail.automatic:
            return Ended("ignored", f"automatic mail: {mail.automatic}")
        if mail.doubt:
            return await self._in_doubt(event, mail)
        person = await self._edges.people.resolve(
            IntegrationType.EMAIL, mail.sender, email=mail.sender, name=mail.sender_name
        )
        left = await self._count(event, mail)
        if person is None:
            return await self._reply(event, mail, UNKNOWN.format(link=self._link))
        if mail.subject.strip().lower() == UNSUBSCRIBE:
            await stop_mails(self._edges.database, person.user_id)
            return await self._reply(event, mail, STOPPED, person)
        content = _content(mail)
        if not content:
            return await self._reply(event, mail, mail.problem or EMPTY, person)
        return await self._forward(event, mail, self._request(event, mail, (person, content, left)))

    async def tell_given_up(self, event: InboundEvent) -> None:
        """Not one mail more to a sender who has had its answers of the hour."""
        if event.is_purged or not event.payload:
            return
        mail = Received.model_validate(event.payload)
        if mail.doubt or mail.automatic or not mail.sender:
            return
        counted = await mailboxes.count_answer(
            self._edges.database, mail.sender, f"{event.dedupe_key}:given-up", self._per_hour
        )
        if counted >= 0:
            await self._reply(event, mail, FAILED)

    async def _bounced(self, bounce: Bounce) -> Ended:
        reason = safe_words(f"It came back from {bounce.recipient} ({bounce.status}): {bounce.words}")
        is_ours = await bounces.bounced(self._edges.database, bounce.delivery_id, reason)
        return Ended("ignored", "a delivery came back" if is_ours else "a report on no delivery of ours")

    async def _in_doubt(self, event: InboundEvent, mail: Received) -> Ended:
        """No tools, no model, no session: one answer an hour to whoever owns the address, who may confirm this mail."""
        if not mail.sender:
            return Ended("ignored", f"unverified: {mail.doubt}")
        sender, counted_as = f"unverified:{mail.sender}", f"{event.dedupe_key}:unverified"
        left = await mailboxes.count_answer(self._edges.database, sender, counted_as, 1)
        if left < 0:
            return Ended("ignored", f"unverified, and told so before: {mail.doubt}")
        log.info("mail_unverified", cause=mail.doubt)
        if not self._verify.are_on:
            return await self._reply(event, mail, IN_DOUBT.format(link=self._link))
        text = TO_VERIFY.format(url=self._verify.url(event.id))
        return await self._send(mail, text, f"verify.{event.id.hex}") or Ended("held", mail.doubt)

    async def _count(self, event: InboundEvent, mail: Received) -> int:
        """Raises GiveUp: two machines that answer each other stop here; an operator finds the mail among the dead letters."""
        left = await mailboxes.count_answer(self._edges.database, mail.sender, event.dedupe_key, self._per_hour)
        if left < 0:
            MAIL_LOOPS.inc()
            log.warning("mail_loop_stopped", inbound_id=str(event.id), answers_per_hour=self._per_hour)
            raise GiveUp(f"its sender has had {self._per_hour} answers within an hour: it may be a machine")
        return left

    def _request(self, event: InboundEvent, mail: Received, asked: tuple[UserView, str, int]) -> EmailRequest:
        person, content, left = asked
        named: Metadata = {UNREAD_FILES: [*mail.attachments]} if mail.attachments else {}
        last: Metadata = (
            {MAIL_NOTE: LAST_OF_THE_HOUR.format(count=self._per_hour)} if left == 0 and self._per_hour > 1 else {}
        )
        return EmailRequest(
            user_id=person.user_id,
            content=content,
            session_id=session_of([*mail.references, mail.in_reply_to], self._office.domain),
            metadata={**named, **last},
            email_from=mail.sender,
            subject=mail.subject,
            message_id=mail.message_id or _made_up_id(event.id),
            in_reply_to=mail.in_reply_to or None,
            references=mail.references,
        )

    async def _forward(self, event: InboundEvent, mail: Received, body: EmailRequest) -> Ended:
        """Into the session that the mail names, if it is open and the person's own; else into that of its thread."""
        try:
            return await forward(self._edges.manager, body, event.dedupe_key)
        except UpstreamRejected as exc:
            if body.session_id is None or exc.upstream_status not in NO_SESSION:
                raise
        alone = body.model_copy(update={"session_id": None})
        return await forward(self._edges.manager, alone, f"{event.dedupe_key}:thread")

    async def _reply(self, event: InboundEvent, mail: Received, text: str, person: UserView | None = None) -> Ended:
        refused = await self._send(mail, text, f"answer.{event.id.hex}")
        return refused or Ended("answered", user_id=person.user_id if person is not None else None)

    async def _send(self, mail: Received, text: str, name: str) -> Ended | None:
        """A plain mail of ours, of the same `name` on every try. Returns the end if it is refused. Raises RetryLater."""
        letter = notice_letter(f"Re: {mail.subject}" if mail.subject else "Your mail", text)
        references = [*mail.references, *([mail.message_id] if mail.message_id else [])]
        letter = letter.model_copy(update={"in_reply_to": mail.message_id, "references": references})
        envelope = Envelope(self._office.sender, mail.sender, f"<{name}@{self._office.domain}>", datetime.now(UTC))
        try:
            await self._office.send(letter, envelope)
        except (DeliveryDelayed, IntegrationPaused) as exc:
            raise RetryLater(exc.reason, after_s=AGAIN_AFTER_S) from exc
        except (DeliveryRejected, Unsendable) as exc:
            return Ended("ignored", f"the answer was refused: {safe_words(str(exc))}")
        return None


def email_processor(edges: InboundEdges) -> EmailProcessor:
    return EmailProcessor(edges, PostOffice.of(edges.settings))


def _content(mail: Received) -> str:
    """The words of the mail; those of a new thread begin with its subject, which often says it all."""
    text, subject = mail.text.strip(), mail.subject.strip()
    is_new = not mail.in_reply_to and not mail.references
    if not text:
        return subject if is_new else ""
    if is_new and subject and len(text.split()) > 1 and subject.lower() not in text.lower():
        return f"{subject}\n\n{text}"
    return text


def _made_up_id(event_id: UUID) -> str:
    return f"<{event_id.hex}@no-message-id.invalid>"

"""What our mails say: answers, in the thread of the question, and notices. Pure."""

from shared_models.enums import IntegrationType
from shared_models.schemas import AgentResponse, Citation

from integration_dispatcher.domain.templates import words
from integration_dispatcher.mail.ids import session_root
from integration_dispatcher.mail.letter import Letter, one_line
from integration_dispatcher.mail.render import Content, as_html, as_text

MAX_TITLE_LENGTH = 70
MAX_SOURCES = 10
MAIL_NOTE = "mail_note"
"""Metadata of a request that came by mail: a sentence below its answer."""

SENT_BY = "Sent by the self-service agent. Answer this mail to go on with the conversation."


def is_in_thread(answer: AgentResponse) -> bool:
    """True when the question came by mail, and the answer goes back there."""
    wish = answer.delivery
    has_origin = wish is not None and "message_id" in wish.context and "email_from" in wish.context
    return (
        has_origin and wish is not None and wish.mode == "origin" and answer.integration_type is IntegrationType.EMAIL
    )


def answer_letter(answer: AgentResponse, *, domain: str) -> Letter:
    body = words(answer)
    context = answer.delivery.context if answer.delivery is not None and is_in_thread(answer) else {}
    content = Content(
        subject=_reply_subject(str(context.get("subject", ""))) if context else _title(body),
        body=body,
        notes=_notes(answer),
        question=_question(answer),
        sources=_sources(answer),
        footer=_footer(answer),
    )
    root = session_root(answer.session_id, domain)
    asked = str(context.get("message_id", ""))
    before = _texts(context.get("references")) or _texts(context.get("in_reply_to"))
    references = [*before, *([asked] if asked else []), *([] if root in before else [root])]
    return Letter(
        subject=content.subject,
        text=as_text(content),
        html=as_html(content),
        in_reply_to=asked,
        references=list(dict.fromkeys(references)),
        session_id=str(answer.session_id),
    )


def notice_letter(subject: str, text: str) -> Letter:
    """News about the integration itself, such as the code that proves an address."""
    content = Content(subject=subject, body=text, footer=["Sent by the self-service agent."])
    return Letter(subject=subject, text=as_text(content), html=as_html(content))


def _reply_subject(subject: str) -> str:
    plain = one_line(subject)
    return plain if plain[:3].lower() in ("re:", "aw:", "sv:") else f"Re: {plain or 'your mail'}"


def _title(body: str) -> str:
    """The first words of the answer."""
    first = one_line(next((line for line in body.splitlines() if line.strip()), "").strip("#*_>` -"))
    short = first if len(first) <= MAX_TITLE_LENGTH else first[: MAX_TITLE_LENGTH - 1].rsplit(" ", 1)[0] + "…"
    return short or "Your request"


def _question(answer: AgentResponse) -> str:
    asked = answer.response.confirmation if answer.response else None
    return f"Please confirm: {one_line(asked.effect)}" if asked is not None else ""


def _notes(answer: AgentResponse) -> list[str]:
    """What happens to the next mail."""
    return [one_line(each) for each in _texts(answer.metadata.get(MAIL_NOTE))] if is_in_thread(answer) else []


def _sources(answer: AgentResponse) -> list[str]:
    citations = answer.response.citations if answer.response else []
    return list(dict.fromkeys(_source(each) for each in citations))[:MAX_SOURCES]


def _source(citation: Citation) -> str:
    return one_line(f"{citation.document}, {citation.section}" if citation.section else citation.document)


def _footer(answer: AgentResponse) -> list[str]:
    return [SENT_BY, f"Conversation {answer.session_id}, request {answer.request_id}"]


def _texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(each) for each in value]
    return [value] if isinstance(value, str) and value else []

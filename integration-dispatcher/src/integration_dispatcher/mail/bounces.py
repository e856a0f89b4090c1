"""Reports that a mail of ours did not arrive. Pure. Source: RFC 3464."""

import re
from email.message import Message as Part
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from integration_dispatcher.mail.ids import deliveries_in

MAX_BLOCKS = 50

_MESSAGE_ID = re.compile(r"message-id:\s{0,4}(<[^<>\s]{1,996}>)", re.IGNORECASE)


class Bounce(BaseModel):
    """`delivery_id`: that of our mail; `recipient`: who did not get it; `words`: what their server said."""

    model_config = ConfigDict(frozen=True)

    delivery_id: UUID
    recipient: str
    status: str = ""
    words: str = ""


def read(mail: Part, raw: bytes, domain: str) -> Bounce | None:
    """A final failure that names one mail of ours, by its Message-ID in the part that was sent back; else None."""
    blocks = _status_blocks(mail)
    failed = next((each for each in blocks if _field(each, "action").lower() == "failed"), None)
    returned = " ".join(_MESSAGE_ID.findall(raw.decode("latin-1")))
    ours = deliveries_in(returned, domain) or deliveries_in(str(mail.get("in-reply-to", "")), domain)
    if failed is None or len(ours) != 1:
        return None
    recipient = _address(_field(failed, "final-recipient") or _field(failed, "original-recipient"))
    words = _field(failed, "diagnostic-code").partition(";")[2].strip() or _field(failed, "diagnostic-code")
    return Bounce(delivery_id=ours[0], recipient=recipient, status=_field(failed, "status")[:20], words=words[:300])


def _status_blocks(mail: Part) -> list[Part]:
    """The blocks of `message/delivery-status`, one for each recipient behind the first; at most one level down."""
    content = mail.get_payload()
    parts = [mail, *(content if isinstance(content, list) else [])]
    status = next(
        (each for each in parts if isinstance(each, Part) and each.get_content_type() == "message/delivery-status"),
        None,
    )
    blocks = status.get_payload() if status is not None else []
    return [each for each in blocks[:MAX_BLOCKS] if isinstance(each, Part)] if isinstance(blocks, list) else []


def _field(block: Part, name: str) -> str:
    return " ".join(str(block.get(name, ""))[:2_000].split())


def _address(field: str) -> str:
    """Of `rfc822; ana@example.com`."""
    return (field.partition(";")[2] or field).strip().strip("<>").lower()[:320]

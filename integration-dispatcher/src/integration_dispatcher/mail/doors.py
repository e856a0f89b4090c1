"""What the pages behind the links in our mails do."""

from dataclasses import dataclass

from integration_dispatcher.mail.proofs import MailProofs
from integration_dispatcher.mail.unsubscribing import Unsubscribing


@dataclass(frozen=True)
class MailDoors:
    proofs: MailProofs
    unsubscribing: Unsubscribing

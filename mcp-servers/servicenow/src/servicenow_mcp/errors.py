"""What can go wrong, in two languages: `words` for the person who asked, `cause` for the operator's log.

`words` hold no internals, no secret, and nothing about another person."""

from enum import StrEnum


class Effect(StrEnum):
    """Did the failed call change anything in ServiceNow?"""

    NONE = "none"
    UNKNOWN = "unknown"


class Refusal(Exception):
    """The person asked for something that cannot be done; the words say why and what helps."""

    def __init__(self, words: str, cause: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.cause = cause or type(self).__name__


class NotConfirmed(Refusal):
    """An order came without the id of a confirmation."""


class ForeignRecord(Refusal):
    """ServiceNow answered with a record that is not the caller's: a query or a right is wrong. Nothing of it is told."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            "ServiceNow returned data that does not belong to you, so I stopped. Please tell the service desk.", cause
        )


class ServiceNowFault(Exception):
    """ServiceNow could not be asked, or its answer is of no use.

    `is_passing`: asking again may help. `may_still_run`: no end was seen, the call may take effect later."""

    is_passing = False
    may_still_run = False

    def __init__(self, words: str, cause: str, *, effect: Effect = Effect.NONE) -> None:
        super().__init__(cause)
        self.words = words
        self.cause = cause
        self.effect = effect


class NotAuthenticated(ServiceNowFault):
    def __init__(self, cause: str) -> None:
        super().__init__(
            "ServiceNow does not accept the sign-in of this service, so I cannot look anything up. "
            "Please tell the service desk; nothing is wrong with your own account.",
            cause,
        )


class NotPermitted(ServiceNowFault):
    def __init__(self, cause: str) -> None:
        super().__init__(
            "ServiceNow does not let this service do that. Please tell the service desk that a right is missing.", cause
        )


class Busy(ServiceNowFault):
    """Too many calls. `retry_after_s`: what ServiceNow asked for, if it did."""

    is_passing = True

    def __init__(self, cause: str, retry_after_s: float | None) -> None:
        super().__init__("ServiceNow is busy right now. Please try again in a few minutes.", cause)
        self.retry_after_s = retry_after_s


class Hibernating(ServiceNowFault):
    def __init__(self, cause: str) -> None:
        super().__init__(
            "The ServiceNow instance is asleep and has to be woken by its administrator. Please try again later.", cause
        )


class Unusable(ServiceNowFault):
    """An answer that is not the API's: an HTML page, a redirect, broken or huge JSON, an unknown status."""

    def __init__(self, cause: str, *, effect: Effect = Effect.NONE) -> None:
        super().__init__(
            "ServiceNow gave an answer that I cannot read. Please try again later or tell the service desk.",
            cause,
            effect=effect,
        )


class Down(ServiceNowFault):
    """ServiceNow answered with an error of its own: the call has ended there."""

    is_passing = True

    def __init__(self, cause: str, *, effect: Effect = Effect.NONE) -> None:
        super().__init__(
            "ServiceNow cannot be reached right now. Please try again in a few minutes.", cause, effect=effect
        )


class BrokenOff(Down):
    """The connection failed, or a proxy answered in ServiceNow's place."""

    may_still_run = True


class TimedOut(ServiceNowFault):
    is_passing = True
    may_still_run = True

    def __init__(self, cause: str, *, effect: Effect = Effect.NONE) -> None:
        super().__init__("ServiceNow did not answer in time. Please try again in a few minutes.", cause, effect=effect)


class OrderUnclear(ServiceNowFault):
    """An order was sent, no answer came, and no ticket is to be seen yet. Asking again is safe: it finds the ticket."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            "ServiceNow did not answer, so I cannot say yet whether your ticket was opened. Please ask me again in a "
            "few minutes: I will look for it first, and open it only if it is not there.",
            cause,
            effect=Effect.UNKNOWN,
        )


class Rejected(ServiceNowFault):
    """ServiceNow understood the call and refused it (400, 404). `status` is its HTTP status."""

    def __init__(self, cause: str, status: int) -> None:
        super().__init__(
            "ServiceNow refused the request. Please tell the service desk; the settings of the laptop catalogue may be "
            "wrong.",
            cause,
        )
        self.status = status

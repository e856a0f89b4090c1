"""What Slack's refusals mean for a delivery. Source: https://docs.slack.dev/reference/methods/chat.postMessage#errors"""

from integration_dispatcher.handlers.base import DeliveryDelayed, DeliveryPostponed, DeliveryRejected, IntegrationPaused
from integration_dispatcher.slack_api import SlackRefused, SlackSilent
from integration_dispatcher.slack_pace import SlackBusy

# Our account: nothing can be delivered to anybody until an operator has seen to it.
ACCOUNT = frozenset(
    {
        *("token_revoked", "token_expired", "account_inactive", "invalid_auth", "not_authed", "no_permission"),
        *(
            "org_login_required",
            "ekm_access_denied",
            "team_access_not_granted",
            "access_denied",
            "two_factor_setup_required",
        ),
    }
)
# Slack's own trouble: passes.
PASSING = frozenset(
    {
        *("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"),
        *("team_added_to_org", "accesslimited", "message_limit_exceeded"),
    }
)
TARGETS = {
    "channel_not_found": "Slack does not know this channel, or the app is not in it.",
    "not_in_channel": "The app is not in this Slack channel; invite it there.",
    "is_archived": "This Slack channel is archived.",
    "thread_not_found": "The Slack thread is gone.",
    "users_not_found": "No member of the Slack workspace has this e-mail address.",
    "user_not_found": "Slack does not know this person.",
    "user_disabled": "This person's Slack account is switched off.",
    "restricted_action": "A rule of the Slack workspace forbids it.",
}


type Verdict = DeliveryDelayed | DeliveryPostponed | DeliveryRejected | IntegrationPaused


def refusal(exc: SlackBusy | SlackSilent | SlackRefused) -> Verdict:
    """The one that says what is to be done. Words that are not known are final: they speak of this message or its place."""
    if isinstance(exc, SlackBusy):
        if not exc.was_called:
            return DeliveryPostponed(str(exc), after_s=exc.retry_after_s)
        return DeliveryDelayed(str(exc), code=429, retry_after_s=exc.retry_after_s)
    if isinstance(exc, SlackSilent):
        return DeliveryDelayed(exc.reason, code=exc.code)
    if exc.error in ACCOUNT:
        return IntegrationPaused(f"Slack refuses the app's token ({exc.error}).", code=200, words=exc.words)
    if exc.error in PASSING:
        return DeliveryDelayed(f"Slack cannot take it right now ({exc.error}).", code=200, words=exc.words)
    if exc.error == "missing_scope":
        reason = f"The Slack app lacks the scope {exc.needed or '(not told)'}; install it again with the manifest."
        return DeliveryRejected(reason, code=200, words=exc.words)
    return DeliveryRejected(TARGETS.get(exc.error, f"Slack refused it ({exc.error})."), code=200, words=exc.words)

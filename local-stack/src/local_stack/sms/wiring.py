"""What the SMS stand-in and the dispatcher are told about each other, as environment."""

from local_stack.sms.settings import ACCOUNT_SID, NUMBER


def stand_in(auth_token: str, dispatcher_url: str) -> dict[str, str]:
    return {"SMS_STANDIN_AUTH_TOKEN": auth_token, "SMS_STANDIN_INBOUND_URL": f"{dispatcher_url}/sms/inbound"}


def account(auth_token: str, url: str, dispatcher_url: str) -> dict[str, str]:
    """`url`: the stand-in's."""
    return {
        "SMS_API_URL": url,
        "SMS_ACCOUNT_SID": ACCOUNT_SID,
        "SMS_AUTH_TOKEN": auth_token,
        "SMS_FROM": NUMBER,
        "SMS_CALLBACK_URL": dispatcher_url,
    }

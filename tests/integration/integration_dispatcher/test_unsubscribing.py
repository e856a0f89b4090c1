"""A person stops our mails by one click: their mail program calls the address that stands in the mail."""

from uuid import UUID

from integration_dispatcher.mail.links import UnsubscribeLinks, VerifyLinks
from integration_dispatcher.vault import Vault
from shared_models.ids import new_id

from tests.support.dispatcher import PREFERRED, ended
from tests.support.mail_in import ANA, LINKS_URL, MailIn

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


async def link_of(mail_in: MailIn, user_id: UUID) -> str:
    """The link in a mail that brings this person an answer."""
    await mail_in.dispatcher.plan(ended(user_id, PREFERRED))
    [mail] = await mail_in.mail.arrived(ANA)
    await mail_in.dispatcher.idle()
    link, by_mail = str(mail.parsed["list-unsubscribe"]).replace(" ", "").split(",")
    assert by_mail.startswith("<mailto:it@selfservice.example")
    return link.strip("<>")


async def is_on(mail_in: MailIn, user_id: UUID) -> bool:
    effective = await mail_in.dispatcher.get("/api/v1/users/{me}/integration-defaults", user_id)
    [email] = [each for each in effective["items"] if each["integration"] == "email"]
    return bool(email["enabled"])


async def test_one_click_stops_the_mails_of_that_person_alone(mail_in: MailIn) -> None:
    me, other = new_id(), new_id()
    link = await link_of(mail_in, me)
    page = await mail_in.dispatcher.http.get(link)
    assert (page.status_code, "<button>" in page.text) == (200, True)
    assert await is_on(mail_in, me)
    for _ in range(2):
        assert (await mail_in.dispatcher.http.post(link, data=ONE_CLICK)).status_code == 200
        assert (await is_on(mail_in, me), await is_on(mail_in, other)) == (False, True)
    await mail_in.dispatcher.plan(ended(me, PREFERRED))
    await mail_in.dispatcher.idle()
    assert len(mail_in.mail.mails(ANA)) == 1


async def test_a_forged_link_stops_nothing(mail_in: MailIn) -> None:
    me, other = new_id(), new_id()
    link = await link_of(mail_in, me)
    signature = link[-64:]
    forged = [
        f"{LINKS_URL}/email/unsubscribe/{other.hex}{signature}",
        UnsubscribeLinks(Vault([b"x" * 32]), LINKS_URL).url(me),
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.replace("unsubscribe", "verify"),
    ]
    for each in forged:
        http = mail_in.dispatcher.http
        assert [(await http.get(each)).status_code, (await http.post(each)).status_code] == [410, 410], each
    assert (await is_on(mail_in, me), await is_on(mail_in, other)) == (True, True)


def test_a_link_for_one_action_is_none_for_another() -> None:
    vault, subject = Vault([b"k" * 32]), new_id()
    token = UnsubscribeLinks(vault, LINKS_URL).url(subject).rpartition("/")[2]
    assert UnsubscribeLinks(vault, LINKS_URL).subject_of(token) == subject
    assert VerifyLinks(vault, LINKS_URL).subject_of(token) is None

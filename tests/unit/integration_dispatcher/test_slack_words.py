"""What a person wrote in Slack, as they saw it; and what an answer says of files that came with it."""

import pytest
from integration_dispatcher.domain.slack_words import is_for_somebody_else, plain
from integration_dispatcher.domain.templates import UNREAD_FILES, words
from shared_models.ids import new_id

from tests.support.dispatcher import ended


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<@UBOT> my laptop", "my laptop"),
        ("<@UBOT>: my laptop", "my laptop"),
        ("ask <@UBOT|it-bot> please", "ask   please"),
        ("<@U2> and <@U3|ben> said", "@U2 and @ben said"),
        ("in <#C1|help-it> and <#C2>", "in #help-it and #C2"),
        ("<!here> <!channel> <!subteam^S1|@it> <!date^1^{date}|today>", "@here @channel @it today"),
        ("see <https://a.example/x?a=1&amp;b=2>", "see https://a.example/x?a=1&b=2"),
        ("see <https://a.example|the page>", "see the page (https://a.example)"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&amp;lt; stays", "&lt; stays"),
        ("a < b > c", "a < b > c"),
        ("", ""),
    ],
)
def test_slacks_signs_are_read_as_they_are_shown(written: str, read: str) -> None:
    assert plain(written, "UBOT") == read


def test_a_message_that_calls_another_member_first_is_theirs() -> None:
    assert is_for_somebody_else(" <@U2> thanks", "UBOT")
    assert not is_for_somebody_else("<@UBOT> thanks", "UBOT")
    assert not is_for_somebody_else("thanks <@U2>", "UBOT")


def test_an_answer_says_which_files_were_not_read() -> None:
    answer = ended(new_id(), None, content="It is slow.").model_copy(
        update={"metadata": {UNREAD_FILES: ["a.pdf", "`b`"]}}
    )
    assert words(answer) == "It is slow.\n\nI have not read what you attached: `a.pdf`, `'b'`."
    assert words(answer.model_copy(update={"metadata": {UNREAD_FILES: "a.pdf"}})) == "It is slow."

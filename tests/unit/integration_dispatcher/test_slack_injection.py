"""What a model may be made to write, and what must never come of it in Slack. Source: OWASP LLM 2025, LLM05."""

import re

import pytest
from integration_dispatcher.domain.slack_format import runs_of
from integration_dispatcher.domain.slack_links import usable_url
from integration_dispatcher.domain.slack_text import cut, write

from tests.support.slack_text import unescaped

# What Slack reads as its own syntax: everything between < and > that is not a plain link.
SYNTAX = re.compile(r"<(?!https?://[^<>|@\s]+[|>]|mailto:)[^>]*>?")
LINK = re.compile(r"<([^|<>]+)\|([^<>]+)>")

PINGS = [
    *("<!channel>", "<!here>", "<!everyone>", "<!channel|channel>", "<@U012AB3CD>", "<@W1|name>", "<#C024BE7LR>"),
    *("<!subteam^SAZ94GDB8>", "<!date^1392734382^{date}|x>", "&lt;!channel&gt;", "&#60;!channel&#62;", "&#x3C;!here>"),
    *("`<!channel>`", "```\n<!channel>\n```", "~~~\n<@U1>\n~~~", "    <!here>", "**<!channel>**", "# <!everyone>"),
    *("[<!channel>](https://example.com)", "[x](<!channel>)", "[x](!channel)", "![<!here>](https://example.com/a.png)"),
    *(
        "| <!channel> |\n|---|\n| <@U1> |",
        "> <!here>",
        "- <!channel>",
        "<<!channel>>",
        "<\u200b!channel>",
        "\\<!channel\\>",
    ),
    *(
        "<https://example.com|<!channel>>",
        "<a href='<!channel>'>x</a>",
        "<!--<!channel>-->",
        "&amp;lt;!channel&amp;gt;",
    ),
    *(
        "[a]\n\n[a]: <!channel>",
        "[a](https://example.com/<!channel>)",
        "https://example.com/<!channel>",
        "<!chan\nnel>",
    ),
]


@pytest.mark.parametrize("text", PINGS)
@pytest.mark.parametrize("around", ["{}", "Hello {} there", "{0} {0}", "*{}*"])
def test_nothing_a_model_writes_pings_anybody(text: str, around: str) -> None:
    for limit in (60, 2900):
        for piece in cut(runs_of(around.format(text)), limit):
            assert SYNTAX.findall(write(piece)) == []


@pytest.mark.parametrize(
    ("label", "url"),
    [
        ("https://bank.com", "https://evil.example"),
        ("bank.com", "https://evil.example"),
        ("www.bank.com/login", "https://bank.com.evil.example/login"),
        ("Go to BANK.COM now", "https://evil.example"),
        ("**bank.com**", "https://evil.example"),
        ("bank\u200b.com", "https://evil.example"),
        ("bank．com", "https://evil.example"),
        ("bank。com", "https://evil.example"),
        ("bаnk.com", "https://bank.com"),
        ("10.0.0.1", "https://evil.example"),
        ("admin@bank.com", "https://evil.example"),
        ("admin@bank.com", "mailto:thief@evil.example"),
        ("https://intranet/page", "https://evil.example"),
        ("`bank.com`", "https://evil.example"),
    ],
)
def test_words_that_read_as_another_host_are_no_link_and_the_address_is_shown(label: str, url: str) -> None:
    written = write(runs_of(f"[{label}]({url})"))

    assert LINK.findall(written) == []
    assert f"<{url}>" in written or f"<{url}" in written


@pytest.mark.parametrize(
    ("label", "url"),
    [
        ("the page", "https://example.com/page"),
        ("example.com", "https://example.com/page"),
        ("www.example.com", "https://example.com"),
        ("example.com", "https://www.example.com"),
        ("version 3.12", "https://example.com"),
        ("it@example.com", "mailto:it@example.com"),
    ],
)
def test_honest_links_stay_links(label: str, url: str) -> None:
    assert LINK.findall(write(runs_of(f"[{label}]({url})"))) == [(url, label)]


@pytest.mark.parametrize(
    "href",
    [
        *("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "slack://open", "vbscript:x", "tel:123"),
        *("https://bank.com@evil.example/", "//evil.example", "/relative", "https:///nohost", "ftp://x.y"),
        "https://example.com/" + "a" * 1100,
    ],
)
def test_only_plain_web_and_mail_addresses_become_links(href: str) -> None:
    written = write(runs_of(f"[click]({href})"))

    assert not written.startswith("<")
    assert "click" in written
    assert href in unescaped(written)


def test_a_pipe_in_an_address_cannot_change_the_label() -> None:
    assert write(runs_of("[a](https://example.com/x|bank.com)")) == "<https://example.com/x%7Cbank.com|a>"


def test_an_image_is_a_link_that_nobody_loads() -> None:
    assert write(runs_of("![shot](https://example.com/a.png?secret=1)")) == "<https://example.com/a.png?secret=1|shot>"


def test_a_bare_address_is_a_link_to_itself_without_the_full_stop_behind_it() -> None:
    assert write(runs_of("See https://example.com/a_b.")) == "See <https://example.com/a_b>."


def test_an_address_that_cannot_be_read_is_none() -> None:
    assert usable_url("http://[::1") == ""

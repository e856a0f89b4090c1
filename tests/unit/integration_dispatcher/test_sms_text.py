"""What a person reads on a phone: how long it is, what is left of Markdown, and where it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from integration_dispatcher.domain.plain_text import plain
from integration_dispatcher.domain.sms import CUT, MAX_SEGMENTS, NoPhoneNumber, phone_number, sms_text
from integration_dispatcher.domain.sms_size import Alphabet, Size, size_of

LINK = "https://it.example.com/r/0199"

# How many of one character fit into so many segments, counted by hand from the standard: 160 septets, then 153 each; an
# extension character is two; 70 units of 16 bits, then 67 each; a character beyond the basic plane is two.
GSM_CHARACTERS = {160: 1, 161: 2, 306: 2, 307: 3, 459: 3, 460: 4}
EXTENDED_CHARACTERS = {80: 1, 81: 2, 152: 2, 153: 3, 228: 3, 229: 4}
UCS_CHARACTERS = {70: 1, 71: 2, 134: 2, 135: 3, 201: 3, 202: 4}
PAIRS = {35: 1, 36: 2, 66: 2, 67: 3, 99: 3, 100: 4}

# What straddles a border goes whole into the next segment, so the text is one unit longer than it seems.
MIXED: list[tuple[str, Alphabet, int]] = [
    ("", "GSM-7", 0),
    ("a" * 158 + "€", "GSM-7", 1),
    ("a" * 159 + "€", "GSM-7", 2),
    ("a" * 152 + "€" + "a" * 151, "GSM-7", 2),
    ("a" * 152 + "€" + "a" * 152, "GSM-7", 3),
    ("a" * 151 + "€" + "a" * 153, "GSM-7", 2),
    ("a" * 151 + "€" + "a" * 154, "GSM-7", 3),
    ("a" * 152 + "€" + "a" * 151 + "€" + "a" * 151, "GSM-7", 3),
    ("a" * 152 + "€" + "a" * 151 + "€" + "a" * 152, "GSM-7", 4),
    ("a" * 68 + "😀", "UCS-2", 1),
    ("a" * 69 + "😀", "UCS-2", 2),
    ("a" * 66 + "😀" + "a" * 65, "UCS-2", 2),
    ("a" * 66 + "😀" + "a" * 66, "UCS-2", 3),
    ("a" * 65 + "😀" + "a" * 67, "UCS-2", 2),
    ("a" * 65 + "😀" + "a" * 68, "UCS-2", 3),
    ("a" * 160 + "’", "UCS-2", 3),
    ("€" * 69 + "я", "UCS-2", 1),
    ("€" * 70 + "я", "UCS-2", 2),
]
TABLE: list[tuple[str, Alphabet, int]] = [
    *((each * count, "GSM-7", parts) for each in "aA0 @é£Δ\nüñÇ¡§_à" for count, parts in GSM_CHARACTERS.items()),
    *((each * count, "GSM-7", parts) for each in "^{}[]~|\\€" for count, parts in EXTENDED_CHARACTERS.items()),
    *((each * count, "UCS-2", parts) for each in "я漢’ç" for count, parts in UCS_CHARACTERS.items()),
    *(("😀" * count, "UCS-2", parts) for count, parts in PAIRS.items()),
    ("𝒳" * 35, "UCS-2", 1),
    ("𝒳" * 36, "UCS-2", 2),
    *MIXED,
]


def test_the_table_holds_200_texts() -> None:
    assert len({text for text, _, _ in TABLE}) == 200


@pytest.mark.parametrize(("alphabet"), ["GSM-7", "UCS-2"])
def test_segments_are_counted_as_the_network_counts_them(alphabet: Alphabet) -> None:
    wrong = [
        (text, size_of(text)) for text, own, parts in TABLE if own == alphabet and size_of(text) != Size(own, parts)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# Laptop\n\nIt **ships** on _Monday_.", "Laptop\nIt ships on Monday."),
        ("1. one\n2. two\n   - deep", "1. one\n2. two\n- deep"),
        ("3. three\n4. four", "3. three\n4. four"),
        ("[the form](https://it.example.com/form)", "the form (https://it.example.com/form)"),
        ("<https://it.example.com>", "https://it.example.com"),
        ("| model | price |\n|---|---|\n| X1 | 900 € |\n| T14 | |", "model, price\nX1, 900 €\nT14"),
        ("> quoted\n\n```sh\nrun *this*\n```\nand `that*`", "quoted\nrun *this*\nand that*"),
        ("\\*not bold\\* &amp; ~~old~~", "*not bold* & old"),
        ("“Hi” – it’s done…", '"Hi" - it\'s done...'),
        ("ab\u202ecd\u200b\x07", "abcd"),
        ("<b>bold</b>", "<b>bold</b>"),
        ("", ""),
    ],
)
def test_markdown_becomes_plain_text(markdown: str, text: str) -> None:
    assert plain(markdown) == text


def test_a_short_answer_stays_whole() -> None:
    assert sms_text("Your laptop **ships** on Monday.", LINK) == "Your laptop ships on Monday."


def test_a_long_answer_is_cut_after_a_word_and_links_to_the_whole() -> None:
    text = sms_text("ordinary words " * 100, LINK)
    assert size_of(text) == Size("GSM-7", MAX_SEGMENTS)
    assert text.endswith((f"words{CUT} {LINK}", f"ordinary{CUT} {LINK}"))
    assert len(text) > 440


def test_words_without_spaces_are_cut_between_characters_and_never_inside_one() -> None:
    text = sms_text("👩🏽‍💻" * 200, LINK)
    assert set(text.removesuffix(f"{CUT} {LINK}").split("👩🏽‍💻")) == {""}
    assert size_of(sms_text("漢" * 500, LINK)) == Size("UCS-2", MAX_SEGMENTS)


def test_without_a_link_a_cut_is_still_seen() -> None:
    assert sms_text("word " * 500, "").endswith(f"word{CUT}")


@given(st.text(max_size=1200))
def test_no_answer_takes_more_than_three_segments(markdown: str) -> None:
    text = sms_text(markdown, LINK)
    assert size_of(text).segments <= MAX_SEGMENTS
    assert text == plain(markdown) or text.endswith(LINK)


@pytest.mark.parametrize(
    ("given_", "number"),
    [
        ("+1 415-555-0100", "+14155550100"),
        ("+49 (0) 30 901820", "+4930901820"),
        (" +393331234567 ", "+393331234567"),
    ],
)
def test_a_number_is_kept_as_e164(given_: str, number: str) -> None:
    assert phone_number(given_) == number


@pytest.mark.parametrize("given_", ["", "hello", "415-555-0100", "+1", "+1415555010012345", "+1 415 555 0100 x5", "+0"])
def test_what_is_no_number_is_refused_in_words(given_: str) -> None:
    with pytest.raises(NoPhoneNumber, match=r"country code"):
        phone_number(given_)

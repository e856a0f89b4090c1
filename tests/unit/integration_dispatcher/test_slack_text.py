import random

import pytest
from integration_dispatcher.domain.slack_format import runs_of
from integration_dispatcher.domain.slack_text import Run, cut, length, plain, write
from wcwidth import iter_graphemes

from tests.support.slack_text import CODE_WORDS, WORDS, generated, shown, unescaped

LIMIT = 2900
FAMILY = "👩‍👩‍👧‍👦"


@pytest.mark.parametrize("block", range(10))
def test_no_character_of_generated_answers_is_lost_or_added_by_formatting_and_cutting(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        answer = generated(seed)
        sections = [write(piece) for piece in cut(runs_of(answer.markdown), LIMIT)]
        seen = shown(sections)
        assert "".join(seen.words()) == "".join(answer.seen).replace("_", ""), seed
        assert seen.code == "".join(answer.code), seed
        assert max(map(length, sections)) <= LIMIT, seed


@pytest.mark.parametrize("seed", range(40))
def test_pieces_join_to_the_very_text_within_any_limit_and_no_grapheme_is_cut(seed: int) -> None:
    chance = random.Random(seed)
    looks = [Run(""), Run("", "*"), Run("", "`*"), Run("", "_~"), Run("", "*", "https://example.com/?a=1&b=2")]
    runs = [
        Run(
            "".join(chance.choice((*CODE_WORDS, " ", "\n")) for _ in range(chance.randint(1, 40))), look.marks, look.url
        )
        for look in (chance.choice(looks) for _ in range(30))
    ]
    runs.insert(3, Run("\n".join(chance.choices(CODE_WORDS, k=300)) + "\n", is_code=True))
    limit = chance.randint(150, 600)

    pieces = cut(runs, limit)

    assert "".join(map(plain, pieces)) == plain(runs)
    assert max(length(write(piece)) for piece in pieces) <= limit
    whole: set[int] = set()
    ends: list[int] = []
    at = 0
    for grapheme in iter_graphemes(plain(runs)):
        at += len(grapheme)
        whole.add(at)
    for piece in pieces:
        ends.append((ends[-1] if ends else 0) + len(plain(piece)))
    assert set(ends) <= whole


def test_a_cut_is_made_where_a_line_ends_rather_than_within_one() -> None:
    lines = "".join(f"Line {number} of the answer.\n" for number in range(100))

    pieces = cut([Run(lines)], 200)

    assert all(plain(piece).endswith(".\n") for piece in pieces)


def test_a_fence_that_is_cut_is_closed_and_opened_again() -> None:
    code = "".join(f"line {number} < 7\n" for number in range(60))

    sections = [write(piece) for piece in cut([Run(code, is_code=True)], 300)]

    assert len(sections) > 2
    assert all(section.startswith("```\n") and section.endswith("```") for section in sections)


def test_bold_text_that_is_cut_is_bold_in_every_piece() -> None:
    sections = [write(piece) for piece in cut([Run("so bold " * 60, "*")], 100)]

    assert all(section.strip().startswith("*so") and section.strip().endswith("*") for section in sections)


def test_a_single_grapheme_larger_than_the_limit_is_cut_and_kept_whole() -> None:
    monster = "a" + "\u0301" * 1000

    pieces = cut([Run(monster)], 300)

    assert "".join(map(plain, pieces)) == monster


def test_a_link_is_not_cut_when_it_fits_into_the_next_piece() -> None:
    link = Run("the whole label of the link", url="https://example.com/page")

    pieces = cut([Run("x" * 80), link, Run("y" * 80)], 120)

    assert any(run == link for piece in pieces for run in piece)


def test_text_that_shows_nothing_is_still_no_empty_section() -> None:
    assert write([Run("\n \n")]).replace("\u200b", "x").strip() == "x"


@pytest.mark.parametrize(
    ("markdown", "mrkdwn"),
    [
        ("**bold** *it* ~~gone~~ `a<b`", "*bold* _it_ ~gone~ `a&lt;b`"),
        ("# Head **line**", "*Head line*"),
        ("w**or**d", "w\u200b*or*\u200bd"),
        ("- a\n- b\n  1. c\n  2. d", "• a\n• b\n    1. c\n    2. d"),
        ("3. a\n4. b", "3. a\n4. b"),
        ("- a\n\n  para", "• a\n    para"),
        ("> quoted\n> twice", "&gt; quoted\n&gt; twice"),
        ("```py\nx = 1\n```", "```\nx = 1\n```"),
        ("a\n\nb", "a\n\nb"),
        ("---", "———"),
        ("``a`b``", "a`b"),
        ("1 < 2 && 3 > 2", "1 &lt; 2 &amp;&amp; 3 &gt; 2"),
        ("| a | 漢字 |\n|---|---|\n| 漢 | b |", "```\na   漢字\n──  ────\n漢  b\n```"),
        ("<b>raw</b>", "&lt;b&gt;raw&lt;/b&gt;"),
        ("", "\u200b"),
    ],
)
def test_markdown_becomes_what_slack_shows_alike(markdown: str, mrkdwn: str) -> None:
    assert write(runs_of(markdown)) == mrkdwn


def test_a_table_too_wide_for_columns_is_written_row_by_row() -> None:
    wide = "word " * 20

    written = write(runs_of(f"| name | note |\n|---|---|\n| a | {wide}|\n| b | c |"))

    assert written == f"*name*: a\n*note*: {wide.strip()}\n\n*name*: b\n*note*: c"


def test_a_table_with_links_keeps_them() -> None:
    written = write(runs_of("| name |\n|---|\n| [page](https://example.com/x) |"))

    assert written == "*name*: <https://example.com/x|page>"


def test_three_backticks_inside_a_block_do_not_end_it() -> None:
    written = write(runs_of("~~~\nbefore\n```\nafter\n~~~"))

    assert written.count("```") == 2
    assert unescaped(written) == "```\nbefore\n```\nafter\n```"


def test_the_words_of_the_generator_hold_what_is_hard() -> None:
    assert any(len(list(iter_graphemes(word))) < len(word) for word in WORDS)
    assert FAMILY in WORDS

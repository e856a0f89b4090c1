"""Documents are cut along what their authors meant to belong together."""

from agent_service.domain.chunks import MAX_CHARS, Chunk, Part, cut, markdown_parts
from hypothesis import given
from hypothesis import strategies as st

DOCUMENT = """\
# Laptop refresh policy

For everybody.

## 3. Eligibility ##

After 36 months.

### Exceptions

Broken ones.

```sh
# this is no heading
```

## 4. Return

Within 14 days.
"""


def test_headings_make_sections_below_the_title() -> None:
    title, parts = markdown_parts(DOCUMENT)
    assert title == "Laptop refresh policy"
    assert [(part.section, part.text.split("\n")[0]) for part in parts] == [
        ("", "For everybody."),
        ("3. Eligibility", "After 36 months."),
        ("3. Eligibility > Exceptions", "Broken ones."),
        ("4. Return", "Within 14 days."),
    ]
    assert "# this is no heading" in parts[2].text


def test_a_text_without_headings_is_one_part() -> None:
    assert markdown_parts("Hello\nthere") == ("", [Part("", "Hello\nthere")])
    assert markdown_parts("") == ("", [])
    assert markdown_parts("# Only a title\n\n## And a heading\n") == ("Only a title", [])


def test_a_second_first_level_heading_is_a_section() -> None:
    title, parts = markdown_parts("# One\na\n# Two\nb\n## Three\nc\n")
    assert title == "One"
    assert [part.section for part in parts] == ["", "Two", "Two > Three"]


def test_short_paragraphs_stay_together_and_sections_do_not() -> None:
    parts = [Part("a", "One.\n\nTwo."), Part("b", "Three.")]
    assert cut(parts) == [Chunk("a", "One.\n\nTwo."), Chunk("b", "Three.")]


def test_a_long_section_is_cut_between_paragraphs() -> None:
    paragraphs = [f"Paragraph {n}. " + "word " * 60 for n in range(10)]
    chunks = cut([Part("a", "\n\n".join(paragraphs))])
    assert len(chunks) == 4
    for chunk in chunks:
        assert chunk.section == "a"
        assert len(chunk.text) <= MAX_CHARS
        assert chunk.text.startswith("Paragraph")


def test_a_long_list_is_cut_between_its_lines() -> None:
    lines = [f"- Entry {n} of the list" for n in range(100)]
    chunks = cut([Part("", "\n".join(lines))])
    assert [line for chunk in chunks for line in chunk.text.split("\n")] == lines


def test_a_long_line_is_cut_between_sentences_then_words_then_anywhere() -> None:
    sentences = "This is a sentence of some length. " * 80
    assert all(chunk.text.endswith("length.") for chunk in cut([Part("", sentences)]))
    words = "word " * 600
    assert all(set(chunk.text.split()) == {"word"} for chunk in cut([Part("", words)]))
    assert [len(chunk.text) for chunk in cut([Part("", "x" * 3000)])] == [1200, 1200, 600]


@given(st.text(alphabet=st.sampled_from("ab .\n#`-\t\u00e9"), max_size=400), st.integers(min_value=5, max_value=50))
def test_no_word_is_lost_and_no_chunk_is_too_long(text: str, most: int) -> None:
    _, parts = markdown_parts(text)
    chunks = cut(parts, most)
    assert all(0 < len(chunk.text) <= most for chunk in chunks)
    kept = "".join("".join(chunk.text.split()) for chunk in chunks)
    assert kept == "".join("".join(part.text.split()) for part in parts)

"""Text from a server, made safe to show: it must not steer the terminal or pretend to be something else."""

import re

ESCAPE_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, erase. Source: ECMA-48 section 5.4
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC with what they carry
    r"|\x1b[ -/]*[0-~]"  # the shorter ones
)
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""C0, DEL and C1, and the lone surrogates that cannot be printed at all."""
REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Direction overrides can make a line read as another one. Source: CVE-2021-42574."""
CHARACTER_REFERENCE = re.compile(r"&(?=#)")


def clean(text: str) -> str:
    """Without escape sequences, control characters (but line feed and tab) and direction overrides."""
    text = ESCAPE_SEQUENCES.sub("", text.replace("\r\n", "\n"))
    text = CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)
    return REORDERING.sub("", text)


def clean_line(text: str) -> str:
    """`clean`, on one line."""
    return " ".join(clean(text).split())


def clean_markdown(text: str) -> str:
    """`clean` for a Markdown renderer, which would turn `&#27;` back into an escape character."""
    return CHARACTER_REFERENCE.sub("&amp;", clean(text))

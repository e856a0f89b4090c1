"""Bytes and HTML of strangers as plain text. Pure."""

import codecs
import html
import re

import nh3

MAX_HTML_LENGTH = 200_000
MAX_HTML_TAGS = 10_000
BREAKS = frozenset({"p", "br", "div", "li", "tr", "h1", "h2", "h3", "h4", "blockquote"})

# Not charsets, or ones whose reader takes time that grows with the square of the length.
_REFUSED = frozenset({"punycode", "idna", "unicode_escape", "raw-unicode-escape", "undefined", "mbcs", "oem"})
_TAG = re.compile(r"<(/?)([a-z0-9]+)[^>]*>")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def decoded(content: bytes, charset: str) -> str:
    """By the charset that was named, else as UTF-8; what cannot be read is marked. Never raises."""
    try:
        codec = codecs.lookup(charset)
        text = content.decode("utf-8" if codec.name in _REFUSED else charset, errors="replace")
    except (LookupError, ValueError):
        text = content.decode("utf-8", errors="replace")
    return _UNPRINTABLE.sub("", text)


def text_of_html(source: str) -> str:
    """The words of an HTML mail, a line for each block. What it quotes is left out."""
    cut = source[:MAX_HTML_LENGTH]
    if cut.count("<") > MAX_HTML_TAGS:  # deep nesting costs the parser the square of the depth
        cut = "<".join(cut.split("<", MAX_HTML_TAGS)[:-1])
    clean = nh3.clean(
        cut, tags=set(BREAKS), attributes={}, clean_content_tags={"script", "style", "title"}, link_rel=None
    )
    words: list[str] = []
    depth, end = 0, 0
    for tag in _TAG.finditer(clean):
        if not depth:
            words += [" ".join(clean[end : tag.start()].split()), "\n" if tag[2] != "div" or not tag[1] else ""]
        if tag[2] == "blockquote":
            depth += -1 if tag[1] else 1
        end = tag.end()
    text = html.unescape("".join([*words, clean[end:] if not depth else ""]))
    return re.sub(r"\n{3,}", "\n\n", text).strip()

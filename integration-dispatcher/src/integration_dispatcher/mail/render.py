"""An answer as the text and the HTML of a mail. Pure.

What a model or a person has written is data: raw HTML is shown as text, images are links, and a link shows its host."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

_TEMPLATES = Environment(
    loader=PackageLoader("integration_dispatcher.mail"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")


@dataclass(frozen=True)
class Content:
    """`body`: Markdown. `notes`: what the person should know besides. `question`: what waits for a yes or no."""

    subject: str
    body: str
    notes: Sequence[str] = ()
    question: str = ""
    sources: Sequence[str] = ()
    footer: Sequence[str] = ()


def as_text(content: Content) -> str:
    """Markdown reads well as it is."""
    return _TEMPLATES.get_template("answer.txt").render(**vars(content)).strip() + "\n"


def as_html(content: Content) -> str:
    body = Markup(html_of(content.body))  # noqa: S704  # raw HTML was shown as text by the line before
    return _TEMPLATES.get_template("answer.html").render(**(vars(content) | {"body": body}))


def html_of(markdown: str) -> str:
    tokens = _MARKDOWN.parse(markdown)
    for token in tokens:
        if token.children:
            token.children = _with_hosts(token.children)
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def _with_hosts(tokens: Sequence[Token]) -> list[Token]:
    """The host behind each link whose words do not show it."""
    shown: list[Token] = []
    host, words = "", ""
    for token in tokens:
        if token.type == "link_open":
            host, words = _host(str(token.attrGet("href") or "")), ""
        words += token.content
        shown.append(token)
        if token.type == "link_close" and host and host not in words:
            shown.append(Token("text", "", 0, content=f" ({host})"))
    return shown


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""

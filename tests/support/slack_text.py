"""Answers made by chance for Slack's formatting, what must be seen of them, and a reader of mrkdwn as Slack shows it."""

import random
import re
from dataclasses import dataclass, field

BREAK = "\u200b"
_PIECES = re.compile(r"```\n(?P<code>.*?)```|<(?P<url>[^|<>]+)(?:\|(?P<label>[^<>]*))?>", re.S)

WORDS = (
    *("Laptop", "älter", "größer", "R&D", "3<4", "a>b", "&amp;", "<!channel>", "<@U0123>", "@here", "naïve", "it's"),
    *("漢字", "かな", "한국어", "👩‍👩‍👧‍👦", "🇩🇪", "e\u0301", "🏽👍🏽", "Straße", "(yes)", "100%", "x=1;", "Ω", "१२३"),
)
CODE_WORDS = (*WORDS, "*p++", "__init__", "~/.ssh", "`ls`", "  indented", "\tTab", "```", "|", "<a href='x'>", "# no")


@dataclass
class Answer:
    """`markdown` as a model might write it; `seen`: the words of its prose in order; `code`: its blocks to the letter."""

    markdown: str = ""
    seen: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)


def generated(seed: int) -> Answer:
    """The same answer for the same seed: paragraphs, lists, tables, fences, and now and then a line of 40 kB."""
    chance = random.Random(seed)
    answer = Answer()
    makers = (_paragraph, _paragraph, _list, _fence, _table, _heading, _quote)
    for _ in range(chance.randint(1, 12)):
        chance.choice(makers)(answer, chance)
        answer.markdown += "\n\n"
    if seed % 10 == 0:
        _long_line(answer, chance)
    return answer


def _words(chance: random.Random, count: int) -> list[str]:
    return [chance.choice(WORDS) for _ in range(count)]


def _say(answer: Answer, words: list[str]) -> str:
    """The words as Markdown; `&amp;` is written so that it is read as these five characters."""
    answer.seen += words
    return " ".join(word.replace("&", "&amp;").replace("<", "\\<") for word in words)


def _paragraph(answer: Answer, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 6)):
        mark = chance.choice(("", "", "**", "*", "~~", "***"))
        answer.markdown += f"{mark}{_say(answer, ['W', *_words(chance, chance.randint(1, 60)), 'E'])}{mark}\n"


def _heading(answer: Answer, chance: random.Random) -> None:
    answer.markdown += "## " + _say(answer, ["H", *_words(chance, 4)])


def _quote(answer: Answer, chance: random.Random) -> None:
    answer.seen.append(">")
    answer.markdown += "> " + _say(answer, ["Q", *_words(chance, 12)])


def _list(answer: Answer, chance: random.Random) -> None:
    for number in range(1, chance.randint(2, 30)):
        answer.seen.append("•")
        answer.markdown += "- " + _say(answer, [f"I{number}", *_words(chance, 10)]) + "\n"


def _table(answer: Answer, chance: random.Random) -> None:
    """Its cells are compared in order; the line under the header is drawn by us."""
    columns = chance.randint(1, 3)
    rows = [[f"c{row}{column}" for column in range(columns)] for row in range(chance.randint(2, 8))]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * columns)
    answer.markdown += "\n".join(lines)
    drawn = [["───"] * columns]
    answer.code.append("\n".join("  ".join(row) for row in [rows[0], *drawn, *rows[1:]]) + "\n")


def _fence(answer: Answer, chance: random.Random) -> None:
    lines = [
        " ".join(chance.choice(CODE_WORDS) for _ in range(chance.randint(0, 9))) for _ in range(chance.randint(1, 120))
    ]
    code = "\n".join(lines) + "\n"
    answer.markdown += f"~~~~~ text\n{code}~~~~~"
    answer.code.append(code)


def _long_line(answer: Answer, chance: random.Random) -> None:
    """One line of some 40 kB without a space, in prose or in code."""
    line = "".join(chance.choice(("漢", "👩‍👩‍👧‍👦", "e\u0301", "x", "🇩🇪")) for _ in range(5_000))
    if chance.random() < 0.5:
        answer.seen.append(line)
        answer.markdown += line
    else:
        answer.code.append(line + "\n")
        answer.markdown += f"~~~~~\n{line}\n~~~~~"


def unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace(BREAK, "")


@dataclass
class Shown:
    """What a reader of Slack sees, prose and code apart."""

    prose: str = ""
    code: str = ""

    def words(self) -> list[str]:
        return re.sub(r"[*_~`]", "", self.prose).split()


def shown(sections: list[str]) -> Shown:
    """Read sections one behind the other, as if they had never been cut."""
    found = Shown()
    for text in sections:
        at = 0
        for piece in _PIECES.finditer(text):
            found.prose += unescaped(text[at : piece.start()])
            if piece["code"] is not None:
                found.code += unescaped(piece["code"])
            else:
                found.prose += unescaped(piece["label"] or piece["url"])
            at = piece.end()
        found.prose += unescaped(text[at:])
    return found

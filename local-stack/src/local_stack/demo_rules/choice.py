"""Which entry of a numbered list a person means: by number, by name or by code."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from local_stack.demo_rules.intents import normalize


class Why(StrEnum):
    CHOSEN = "chosen"
    SEVERAL = "several"  # the text fits more than one entry
    NOT_THERE = "not_there"  # a number or name that the list does not have
    CLOSE = "close"  # one entry fits in part: ask before taking it
    NONE = "none"  # nothing in the text is a choice


@dataclass(frozen=True)
class Entry:
    """`names`: what it may be called; `traits`: other words that describe it (the operating system, for whom)."""

    number: int
    names: frozenset[str]
    traits: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Choice:
    why: Why
    numbers: tuple[int, ...] = ()


_COUNTED = (
    "one first 1st eins erste ersten",
    "two second 2nd zwei zweite zweiten",
    "three third 3rd drei dritte dritten",
    "four fourth 4th vier vierte vierten",
    "five fifth 5th funf funfte funften",
    "six sixth 6th sechs sechste sechsten",
)
_NUMBER_WORDS = {word: number for number, words in enumerate(_COUNTED, start=1) for word in words.split()}
_FILLER_TEXT = """
a an and any actually als at be best bitte choice choose das dann den der die ein eine er fine for get give go going have
i id ich ill im in instead is it its ja just kindly laptop lets like machine me mein meine mine model my nehme new notebook no
number nummer of ok okay on one option or order our pick please prefer rather really request select so still sure take that
thats the then think this to us use want we well will wish with would yes you your mochte wurde gern gerne
"""
_FILLERS = frozenset(_FILLER_TEXT.split())
_NOT_A_NUMBER = frozenset({"one"})  # "the linux one"


def words_of(values: Iterable[object]) -> frozenset[str]:
    """The words of names and codes, as `choose` compares them: "M 3" and "M3" are the same."""
    words: set[str] = set()
    for value in values:
        words.update(_joined(normalize(str(value))).split())
    return frozenset(words)


def choose(text: str, entries: list[Entry]) -> Choice:
    words = _joined(normalize(text)).split()
    said = _explicit_numbers(words)
    if said is None:
        return _by_name([word for word in words if word not in _FILLERS], words, entries)
    known = {entry.number for entry in entries}
    if len(said) > 1:
        return Choice(Why.SEVERAL, tuple(number for number in said if number in known))
    return Choice(Why.CHOSEN, tuple(said)) if said[0] in known else Choice(Why.NOT_THERE)


def _joined(words: str) -> str:
    """A single letter and the number behind it are one word, as in M3 and T14."""
    return re.sub(r"\b([a-z]) (\d+)\b", r"\1\2", words)


def _explicit_numbers(words: list[str]) -> list[int] | None:
    """The numbers, when the text names a choice by number and by nothing else; None otherwise."""
    text = " ".join(words)
    named = re.findall(r"\b(?:number|option|nr|nummer) #?(\d+|[a-z]+)\b|(?:\bno |#)(\d+)\b", text)
    numbers = [number for number in map(_number, map("".join, named)) if number is not None]
    if not numbers:
        rest = [word for word in words if word not in _FILLERS or word in _NUMBER_WORDS]
        said = [_number(word) for word in rest]
        if len(rest) > 1:
            said = [n for n, word in zip(said, rest, strict=True) if word not in _NOT_A_NUMBER]
        numbers = [number for number in said if number is not None]
        if len(numbers) != len(said):
            return None
    return list(dict.fromkeys(numbers)) or None


def _number(word: str) -> int | None:
    if word.isdecimal():
        return int(word[:9])
    return _NUMBER_WORDS.get(word)


def _by_name(said: list[str], words: list[str], entries: list[Entry]) -> Choice:
    if not said:
        return Choice(Why.NONE)
    hits = {entry.number: sum(word in entry.names or word in entry.traits for word in said) for entry in entries}
    top = max(hits.values(), default=0)
    if top == 0:
        looks_like_a_model = any(any(c.isdigit() for c in word) for word in said)
        return Choice(Why.NOT_THERE if looks_like_a_model else Why.NONE)
    best = [number for number, count in hits.items() if count == top]
    if len(best) > 1:
        return _narrowed(best, words, entries)
    return Choice(Why.CHOSEN if top == len(said) else Why.CLOSE, (best[0],))


def _narrowed(best: list[int], words: list[str], entries: list[Entry]) -> Choice:
    """Of equal entries, the one whose number is said as well, or whose name has nothing that was not said."""
    complete = [entry.number for entry in entries if entry.number in best and entry.names <= set(words)]
    return Choice(Why.CHOSEN, (complete[0],)) if len(complete) == 1 else Choice(Why.SEVERAL, tuple(best))

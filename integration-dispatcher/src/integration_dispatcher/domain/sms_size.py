"""How many segments a text takes as SMS. Source: 3GPP TS 23.038 (alphabets), TS 23.040 (concatenated messages). Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

type Alphabet = Literal["GSM-7", "UCS-2"]

GSM_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION = frozenset("\f^{}\\[~]|€")

# Units of one message, and of each segment of several: a header takes the rest. GSM-7 counts septets, UCS-2 16-bit units.
ROOM: dict[Alphabet, tuple[int, int]] = {"GSM-7": (160, 153), "UCS-2": (70, 67)}


@dataclass(frozen=True)
class Size:
    alphabet: Alphabet
    segments: int


def size_of(text: str) -> Size:
    """The alphabet that the network uses for it, and the number of segments; 0 for nothing."""
    alphabet = alphabet_of(text)
    alone, each = ROOM[alphabet]
    if sum(_units(text, alphabet)) <= alone:
        return Size(alphabet, 1 if text else 0)
    segments, free = 1, each
    for units in _units(text, alphabet):
        if units > free:  # what takes two units is never torn apart
            segments, free = segments + 1, each
        free -= units
    return Size(alphabet, segments)


def alphabet_of(text: str) -> Alphabet:
    """One character outside GSM-7 makes the whole text UCS-2."""
    return "GSM-7" if GSM_BASIC.union(GSM_EXTENSION).issuperset(text) else "UCS-2"


def _units(text: str, alphabet: Alphabet) -> Iterator[int]:
    if alphabet == "GSM-7":
        return (2 if character in GSM_EXTENSION else 1 for character in text)
    return (2 if ord(character) > 0xFFFF else 1 for character in text)

"""The new words of a mail: what its sender has quoted is left out, and the farewell, so that a yes is a yes. Pure, and
linear in the length of the text.

Our own few rules: the libraries for this take minutes for a page of line breaks that somebody makes up."""

import re

MAX_INTRO_LENGTH = 400
HEADER_BLOCK = 4
FAREWELL_LINES = 8

# "On Monday … Ana wrote:" in the languages that our people write in.
_INTRO = re.compile(
    r"(?:on|am|le|el|il|em|op|dnia|den|på|w dniu)\b.{1,400}"
    r"(?:wrote|schrieb[^:]{0,80}|a écrit|escribió|ha scritto|escreveu|schreef[^:]{0,80}|napisał\(?a?\)?|skrev[^:]{0,80})\s?:",
    re.IGNORECASE,
)
_INTRO_BEGINS = re.compile(r"(?:on|am|le|el|il|em|op|dnia|den|på|w dniu)\s", re.IGNORECASE)
_SEPARATOR = re.compile(r"(?:-{3,} ?.{0,40} ?-{3,}|_{20,})")
_SEPARATOR_WORDS = re.compile(
    r"original|forwarded|weitergeleitet|ursprüngliche|d'origine|transféré|reenviado|inoltrato|doorgestuurd",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\*?(?:from|sent|date|to|cc|subject|von|gesendet|datum|an|betreff|de|envoyé|à|objet|enviado|para|asunto|da|inviato"
    r"|oggetto|van|verzonden|aan|onderwerp)\s?:\*?\s",
    re.IGNORECASE,
)
_FAREWELL = re.compile(
    r"(?:(?:best|kind|warm|many|with)?\s?(?:kind\s)?(?:regards|wishes|thanks)|best|cheers|sincerely|yours|thank you"
    r"|(?:mit )?(?:viele|liebe|beste|freundliche|freundlichen|schöne)n? grü(?:ß|ss)en?|lg|vg|mfg|danke"
    r"|cordialement|bien à vous|saludos|un saludo|cordiali saluti|atenciosamente|met vriendelijke groet)[,.!]?"
    r"|(?:sent from my|get outlook for|von meinem|envoyé de mon|enviado desde mi)\b.{0,60}",
    re.IGNORECASE,
)


def new_words(text: str) -> str:
    """Everything above the quoted mail, without lines that begin with `>`, the signature below `-- `, and the farewell."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    end = next((place for place in range(len(lines)) if _begins_quote(lines, place)), len(lines))
    kept = [line.rstrip() for line in lines[:end] if not line.lstrip().startswith(">")]
    return "\n".join(_without_farewell(kept)).strip()


def _without_farewell(lines: list[str]) -> list[str]:
    """What follows a line like `Kind regards,` is a name and little else; a mail that is nothing but that stays whole."""
    for place in range(max(0, len(lines) - FAREWELL_LINES), len(lines)):
        if _FAREWELL.fullmatch(lines[place].strip()[:100]) and any(line.strip() for line in lines[:place]):
            return lines[:place]
    return lines


def _begins_quote(lines: list[str], place: int) -> bool:
    raw = lines[place]
    line = raw.strip()
    if not line:
        return False
    if raw in ("-- ", "--"):
        return True
    if _SEPARATOR.fullmatch(line) and (line.startswith("_") or _SEPARATOR_WORDS.search(line)):
        return True
    return _is_intro(lines, place) or _is_header_block(lines, place)


def _is_intro(lines: list[str], place: int) -> bool:
    """It may be broken into two or three lines."""
    if not _INTRO_BEGINS.match(lines[place].strip()[:20]):
        return False
    joined = ""
    for line in lines[place : place + 3]:
        joined = f"{joined} {line.strip()[:MAX_INTRO_LENGTH]}".strip()[:MAX_INTRO_LENGTH]
        if _INTRO.fullmatch(joined):
            return True
    return False


def _is_header_block(lines: list[str], place: int) -> bool:
    """Outlook writes the header of the mail above it, beginning with the sender."""
    block = [line.strip() for line in lines[place : place + HEADER_BLOCK]]
    return len(block) == HEADER_BLOCK and sum(1 for line in block if _HEADER.match(line[:40])) >= HEADER_BLOCK - 1

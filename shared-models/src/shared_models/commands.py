"""Words that are commands, decided in code before any model call, on every integration."""

from enum import StrEnum


class Command(StrEnum):
    NEW = "new"
    HELP = "help"
    STATUS = "status"
    CANCEL = "cancel"
    TOKENS = "tokens"

    @property
    def waits_its_turn(self) -> bool:
        """Asking for the state, or to stop, is answered at once, beside the running turn."""
        return self not in (Command.STATUS, Command.CANCEL)


WORDS = {
    "new": Command.NEW,
    "reset": Command.NEW,
    "clear": Command.NEW,
    "restart": Command.NEW,
    "new session": Command.NEW,
    "help": Command.HELP,
    "status": Command.STATUS,
    "cancel": Command.CANCEL,
    "stop": Command.CANCEL,
    "tokens": Command.TOKENS,
}


def command_of(content: str) -> Command | None:
    """The command that a whole message is, with or without a leading slash; None for any other text."""
    return WORDS.get(" ".join(content.strip().lower().removeprefix("/").rstrip(".! ").split()))

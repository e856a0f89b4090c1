"""What both roles need: a tool's answer or the wish to call it, and answers from documents."""

from typing import Any

from local_stack.demo_rules import words
from local_stack.demo_rules.conversation import Call, Conversation, Reply
from local_stack.demo_rules.intents import content_words, normalize

type Json = dict[str, Any]

SEARCH = "search_knowledge"
TRANSFER = "transfer_to_agent"
TICKETS = "list_my_open_tickets"
_MOST_CALLS = 3  # of one tool in one turn; then its last answer has to do
_STEM = 5  # characters: "connect" and "connection" are the same topic


class ToolNeeded(Exception):
    """The answer needs this call first."""

    def __init__(self, call: Call) -> None:
        self.call = call


class ToolFailed(Exception):
    """The tool answered with a failure; `words` are the tool's."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class ToolMissing(Exception):
    """The answer needs a tool that was not offered."""

    def __init__(self, tool: str) -> None:
        super().__init__(tool)
        self.tool = tool


def need(talk: Conversation, tool: str, arguments: Json | None = None, *, this_turn: bool = True) -> Json:
    """What the tool returned for these arguments, in this turn or (`this_turn=False`) at any time.

    Raises ToolNeeded, ToolFailed, ToolMissing."""
    arguments = _accepted(talk, tool, arguments or {})
    results = talk.results(tool, this_turn=this_turn)
    matching = [result for result in results if arguments.items() <= result.call.arguments.items()]
    if not matching and len(talk.results(tool, this_turn=True)) >= _MOST_CALLS:
        matching = results
    for result in reversed(matching):
        if result.output.data is not None:
            return result.output.data
        if this_turn:
            raise ToolFailed(result.output.error or "")
    if tool not in talk.tools:
        raise ToolMissing(tool)
    raise ToolNeeded(Call(tool, arguments))


def _accepted(talk: Conversation, tool: str, arguments: Json) -> Json:
    """Only arguments that the tool's schema names, when it names any."""
    parameters = talk.tools[tool].parameters if tool in talk.tools else None
    if parameters is None:
        return arguments
    return {name: value for name, value in arguments.items() if name in parameters}


def agents_of(talk: Conversation) -> tuple[str, ...]:
    return talk.tools[TRANSFER].agents if TRANSFER in talk.tools else ()


def hand_over(talk: Conversation, agent: str) -> Reply:
    """Ask for another agent; never twice in one turn, so that two agents cannot pass a person to and fro."""
    if any(call.name == TRANSFER for call in talk.calls_of_turn):
        return Reply(words.with_question(words.CANNOT_HAND_OVER, words.ANYTHING_ELSE))
    return Reply(calls=(Call(TRANSFER, {"agent": agent}),))


def open_tickets(talk: Conversation, question: str) -> Reply:
    return Reply(words.with_question(words.tickets(objects(need(talk, TICKETS).get("tickets"))), question))


def from_documents(talk: Conversation, *, at_least: float) -> str | None:
    """The passage that fits the question best, with its citation; None when nothing fits.

    `at_least`: the share of the question's topic words that the passage must have, 0 to 1.
    Raises ToolNeeded, ToolFailed."""
    found = objects(need(talk, SEARCH, {"query": talk.question}).get("results"))
    topic = content_words(talk.question)
    best = max(found, key=lambda result: relevance(topic, result), default=None)
    if best is None or relevance(topic, best) < at_least:
        return None
    return words.quote(best)


def relevance(topic: list[str], result: Json) -> float:
    """The share of the topic words that stand in a passage or its section's name, compared by their stems."""
    if not topic:
        return 0.0
    passage = normalize(f"{result.get('section') or ''} {result.get('text') or ''}").split()
    stems = {word[:_STEM] for word in passage}
    return sum(word[:_STEM] in stems for word in topic) / len(topic)


def citation_for(results: list[Json], section: str) -> str:
    """The source of a rule: the passage of that section, else what the tool names, else the best passage."""
    wanted = set(normalize(section).split())
    for result in results:
        named = set(normalize(str(result.get("section") or "")).split())
        if named and wanted and (named <= wanted or wanted <= named):
            return words.cite(result.get("document"), result.get("section"))
    if section:
        return words.cite("", section)
    return words.cite(results[0].get("document"), results[0].get("section")) if results else ""


def objects(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

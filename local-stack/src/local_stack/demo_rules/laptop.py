"""The steps of a laptop refresh, each made of what tools and documents return."""

import re

from local_stack.demo_rules import words
from local_stack.demo_rules.choice import Choice, Entry, Why, choose, words_of
from local_stack.demo_rules.conversation import Conversation, Reply
from local_stack.demo_rules.steps import SEARCH, Json, ToolFailed, ToolMissing, ToolNeeded, citation_for, need, objects
from local_stack.demo_rules.tool_output import read_json

LAPTOPS = "find_my_laptops"
CHECK = "check_laptop_eligibility"
OPTIONS = "list_laptop_options"
OPEN = "open_laptop_refresh_ticket"
TOOLS = frozenset({LAPTOPS, CHECK, OPTIONS, OPEN})

_LAPTOP_NAMES = ("model", "name", "serial_number", "asset_tag", "device_class")
_OPTION_NAMES = ("manufacturer", "model", "code")
_OPTION_TRAITS = ("target_user", "os", "operating_system")
_DECLINED = re.compile(r"declin|refus|cancel|expire|not confirmed|said no", re.IGNORECASE)
_ANSWERED_BEFORE = "The person has already "  # what agent-service says of a yes or no to an answered question
_OPENED = ("opened", "already_open")


def tell_laptop(talk: Conversation) -> Reply:
    """Facts and verdict when it is clear which laptop is meant, else the question which one."""
    found = need(talk, LAPTOPS)
    laptops = objects(found.get("laptops"))
    if not laptops:
        return Reply(words.with_question(words.NO_LAPTOP, words.ANYTHING_ELSE))
    if len(laptops) == 1:
        return _facts(talk, laptops[0])
    return chosen_laptop(talk, laptops) or Reply(words.which_laptop(_employee(found), laptops))


def known_laptops(talk: Conversation) -> list[Json]:
    """The person's laptops as told before, or looked up again when the history has lost them."""
    return objects(need(talk, LAPTOPS, this_turn=False).get("laptops"))


def chosen_laptop(talk: Conversation, laptops: list[Json]) -> Reply | None:
    entries = [Entry(place, _words(laptop, _LAPTOP_NAMES)) for place, laptop in enumerate(laptops, start=1)]
    choice = choose(talk.question, entries)
    return _facts(talk, laptops[choice.numbers[0] - 1]) if choice.why is Why.CHOSEN else None


def _facts(talk: Conversation, laptop: Json) -> Reply:
    serial = laptop.get("serial_number")
    check = need(talk, CHECK, {"serial_number": serial} if serial else {})
    section = str(check.get("policy_section") or "")
    citation = citation_for(_policy_passages(talk, section), section)
    employee = _employee(need(talk, LAPTOPS, this_turn=False))
    return Reply(f"{words.laptop_facts(employee, laptop)}\n\n{words.verdict(check, citation)}")


def _policy_passages(talk: Conversation, section: str) -> list[Json]:
    """Passages to cite. Without them the verdict still stands: the tool named its section."""
    try:
        found = need(talk, SEARCH, {"query": f"laptop refresh policy: {section or 'eligibility'}"})
    except (ToolFailed, ToolMissing):
        return []
    return objects(found.get("results"))


def tell_options(talk: Conversation) -> Reply:
    listing = need(talk, OPTIONS)
    entries = _numbered(objects(listing.get("options")))
    if not entries:
        return Reply(words.with_question(words.NO_OPTIONS, words.ANYTHING_ELSE))
    return Reply(words.options(listing, entries))


def known_options(talk: Conversation) -> list[Json]:
    """The options as told before, or looked up again when the history has lost them."""
    return _numbered(objects(need(talk, OPTIONS, this_turn=False).get("options")))


def choose_option(talk: Conversation, options: list[Json]) -> Choice:
    entries = [Entry(one["number"], _words(one, _OPTION_NAMES), _words(one, _OPTION_TRAITS)) for one in options]
    return choose(talk.question, entries)


def ask_option_again(options: list[Json], choice: Choice) -> Reply:
    named = [option for option in options if option["number"] in choice.numbers]
    match choice.why:
        case Why.SEVERAL:
            return Reply(words.several_fit(named or options))
        case Why.CLOSE:
            return Reply(words.did_you_mean(named[0]))
        case Why.NOT_THERE:
            return Reply(words.not_in_list(options))
    return Reply(words.unsure_which(options))


def open_ticket(talk: Conversation, options: list[Json], choice: Choice) -> Reply:
    """Ask for the ticket. The service puts the person's confirmation between this call and its effect."""
    chosen = next(option for option in options if option["number"] == choice.numbers[0])
    serial = known_serial(talk)
    arguments = {"laptop_code": chosen.get("code"), **({"serial_number": serial} if serial else {})}
    try:
        return Reply(words.ticket(need(talk, OPEN, arguments)))
    except ToolNeeded as needed:
        return Reply(calls=(needed.call,))


def unworded_ticket(talk: Conversation) -> Reply | None:
    """The outcome of the ticket tool in words, when that is what came last."""
    last = talk.ends_with_result_of(OPEN)
    if last is None:
        return None
    data, error = last.output.data, last.output.error or ""
    if data and (data.get("status") in _OPENED or data.get("ticket_number")):
        return Reply(words.ticket(data))
    if data is None and not _DECLINED.search(error):
        return Reply(words.failed(error))
    return Reply(words.with_question(words.NOTHING_ORDERED, words.ANYTHING_ELSE))


def answered_before(talk: Conversation) -> Reply | None:
    """The instructions say that the person has answered this very confirmation already: tell what came of it."""
    _, found, note = talk.instructions.rpartition(_ANSWERED_BEFORE)
    if not found:
        return None
    outcome = read_json(note[note.find("{") :])
    if note.startswith("declined") or not isinstance(outcome, dict) or not outcome.get("ticket_number"):
        text = words.NOTHING_ORDERED if note.startswith("declined") else words.DONE_BEFORE
        return Reply(words.with_question(text, words.ANYTHING_ELSE))
    return Reply(words.ticket(outcome | {"status": "already_open"}))


def known_serial(talk: Conversation) -> str | None:
    """The laptop this is about: the one told last, else the one checked last."""
    for message in reversed(talk.messages):
        told = words.serial_told(message.text) if message.role == "assistant" else None
        if told:
            return told
    checks = [result.output.data for result in talk.results(CHECK) if result.output.data]
    serial = checks[-1].get("serial_number") if checks else None
    return str(serial) if serial else None


def _employee(found: Json) -> Json:
    employee = found.get("employee")
    return employee if isinstance(employee, dict) else {}


def _numbered(options: list[Json]) -> list[Json]:
    """The options with the numbers they are told with: the tool's own, or their places where it gave none."""
    numbers = [option.get("number") for option in options]
    has_own = all(type(number) is int for number in numbers) and len(set(numbers)) == len(numbers)
    return options if has_own else [{**option, "number": place} for place, option in enumerate(options, start=1)]


def _words(item: Json, fields: tuple[str, ...]) -> frozenset[str]:
    return words_of(item.get(field) or "" for field in fields)

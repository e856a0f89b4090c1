"""Every sentence the rules can say. Facts come in as arguments; none stands here."""

import re
from typing import Any

type Json = dict[str, Any]

# The questions are also the memory: the last one in the assistant's last text says what the person answers to.
WHICH_LAPTOP = "Which laptop is it about? Please reply with its number or its serial number."
GO_ON = "Would you like to go on and see the laptops you can choose from? (yes or no)"
WHICH_OPTION = "Which one would you like? Please reply with its number or its name."
ANYTHING_ELSE = "Is there anything else I can help you with?"
LOOK_UP = "Shall I look up your laptop and check whether a new one is due? (yes or no)"
ASKS_TO_CONFIRM = "Please confirm"  # how agent-service, not we, begins its question
CONFIRM = "Your confirmation is still open: please answer it with yes or no."
LAPTOP_QUESTIONS = (WHICH_LAPTOP, GO_ON, WHICH_OPTION, LOOK_UP)
QUESTIONS = (*LAPTOP_QUESTIONS, CONFIRM, ANYTHING_ELSE)

SERIAL_LABEL = "Serial number"
IDENTITY = (
    "I am neither an AI nor a human being: I am a rule-based demo stand-in for a language model. I follow fixed rules, "
    "use the real tools and documents, and make up nothing."
)
LAPTOP_HELLO = "Hello, this is the IT self-service for laptops."
NO_PERSON = "I cannot connect you to a person from here. Please contact your IT service desk directly."
GOODBYE = "You are welcome. Have a good day!"
WELCOME = "You are welcome."
WHAT_ELSE = "What can I help you with?"
UNCLEAR = "I did not understand that. Could you say in a few words what you need help with?"
OUT_OF_SCOPE = "I am sorry, that is outside of what I can help with. I can help with IT questions only."
YES_OR_NO = "Please answer with yes or no."
NOTHING_ORDERED = "All right, I leave it at that. Nothing was ordered."
DONE_BEFORE = "That was carried out already, and is not done twice."
NO_LAPTOP = "No laptop is recorded under your name, so there is nothing I could check or replace."
NO_OPTIONS = "There are no laptops on offer for your region at the moment, so nothing can be ordered."
NO_TICKETS = "You have no open tickets."
NOTHING_FOUND = "I do not know: I found nothing about that in the documents I can search."
CANNOT_SEARCH = "I do not know: I have no documents that I could search for that here."
NO_TOOLS = "I cannot look that up without my tools."
ALREADY_BACK = "You are back at the start."
CANNOT_HAND_OVER = "I cannot hand you over to another agent from here."

_LONGEST_QUOTE = 900  # characters


def with_question(text: str, question: str) -> str:
    return f"{text}\n\n{question}" if question and question not in text else text


def pending_question(text: str) -> str:
    """The question of ours that stands last in a text; empty if there is none."""
    found = [(text.rfind(question), question) for question in QUESTIONS]
    at, question = max(found)
    return question if at >= 0 else ""


def greeting(agents: tuple[str, ...]) -> str:
    topics = ", ".join(agent.replace("-", " ").replace("_", " ") for agent in agents)
    offer = f" I can help with {topics} and with general IT questions." if topics else " I can help with IT questions."
    return f"Hello, this is the IT self-service.{offer} {WHAT_ELSE}"


def failed(words: str) -> str:
    return with_question(f"That did not work: {_sentence(words)} Please try again later.", ANYTHING_ELSE)


def missing_tool(tool: str) -> str:
    return f"I cannot do that here: the tool it needs ({tool.replace('_', ' ')}) is not available to me."


def which_laptop(employee: Json, laptops: list[Json]) -> str:
    lines = [
        f"{number}. {_value(laptop, 'model')}, serial number {_value(laptop, 'serial_number')}, {_value(laptop, 'age_text')} old"
        for number, laptop in enumerate(laptops, start=1)
    ]
    name = employee.get("name")
    start = f"{name}, these laptops" if name else "These laptops"
    return with_question(f"{start} are recorded under your name:\n\n" + "\n".join(lines), WHICH_LAPTOP)


def laptop_facts(employee: Json, laptop: Json) -> str:
    facts = (
        ("Name", _value(employee, "name")),
        ("Location", _value(employee, "location")),
        ("Model", _value(laptop, "model")),
        (SERIAL_LABEL, _value(laptop, "serial_number")),
        ("Purchase date", _value(laptop, "purchase_date")),
        ("Age", _value(laptop, "age_text")),
        ("Warranty expiry", _value(laptop, "warranty_expiry")),
        ("Warranty status", _value(laptop, "warranty_status")),
    )
    return "This is what is recorded for you:\n\n" + "\n".join(f"- {label}: {value}" for label, value in facts)


def serial_told(text: str) -> str | None:
    """The serial number of the laptop whose facts a text tells."""
    found = re.findall(rf"^- {SERIAL_LABEL}: (\S+)$", text, re.MULTILINE)
    return found[-1] if found else None


def verdict(check: Json, citation: str) -> str:
    """The verdict with its source, what else the tool has to say about it, and whether to go on."""
    said = _sentence(str(check.get("verdict") or ""))
    lines = [f"{said} {citation}".strip()]
    note = str(check.get("approval_note") or "").strip()
    if note:
        lines.append(_sentence(note))
    if check.get("eligible") is not True:
        lines.append("You may still go on.")
    return with_question(" ".join(lines), GO_ON)


def cite(document: object, section: object) -> str:
    parts = [str(part).strip() for part in (document, section) if part]
    return f"[{', '.join(parts)}]" if parts else ""


def quote(result: Json) -> str:
    text = re.sub(r"[ \t]+", " ", str(result.get("text") or "")).strip()
    if len(text) > _LONGEST_QUOTE:
        cut = text[:_LONGEST_QUOTE]
        text = cut[: cut.rfind(". ") + 1] or cut + "…"
    return f"{text} {cite(result.get('document'), result.get('section'))}".strip()


_ORDER_OF_FACTS = ("target_user", "cost", "price", "currency", "os", "operating_system")


def options(listing: Json, entries: list[Json]) -> str:
    region, currency = listing.get("region"), listing.get("currency")
    where = f" for your region ({region})" if region else ""
    money = f", prices in {currency}" if currency else ""
    lines = [_option(option) for option in entries]
    return with_question(f"These laptops are on offer{where}{money}:\n\n" + "\n".join(lines), WHICH_OPTION)


def _option(option: Json) -> str:
    told = ("number", "code", "manufacturer", "model")
    rest = sorted(
        (key for key in option if key not in told),
        key=lambda key: _ORDER_OF_FACTS.index(key) if key in _ORDER_OF_FACTS else len(_ORDER_OF_FACTS),
    )
    facts = "; ".join(
        f"{key.replace('_', ' ')}: {_shown(option[key])}" for key in rest if option[key] not in (None, "", [])
    )
    return f"{option['number']}. {option_name(option)} (code {_value(option, 'code')})\n   {facts}".rstrip()


def option_name(option: Json) -> str:
    manufacturer, model = str(option.get("manufacturer") or ""), str(option.get("model") or "")
    return model if model.lower().startswith(manufacturer.lower()) else f"{manufacturer} {model}".strip()


def not_in_list(entries: list[Json]) -> str:
    return with_question(f"That is not in the list. It has these:\n\n{_short_list(entries)}", WHICH_OPTION)


def unsure_which(entries: list[Json]) -> str:
    return with_question(
        f"I am not sure which one you mean. You can choose from these:\n\n{_short_list(entries)}", WHICH_OPTION
    )


def several_fit(entries: list[Json]) -> str:
    return with_question(f"More than one could be meant:\n\n{_short_list(entries)}", WHICH_OPTION)


def did_you_mean(option: Json) -> str:
    text = f"Did you mean number {option['number']}, {option_name(option)}? It does not match exactly, so I rather ask."
    return with_question(text, WHICH_OPTION)


def _short_list(entries: list[Json]) -> str:
    return "\n".join(f"{option['number']}. {option_name(option)}" for option in entries)


def ticket(result: Json) -> str:
    number = _value(result, "ticket_number")
    model = f" for {result['model']}" if result.get("model") else ""
    if result.get("status") == "already_open":
        state = f" Its state is {_shown(result['state'])}." if result.get("state") else ""
        text = f"There is already an open laptop refresh ticket{model}: {number}.{state} I did not open a second one."
    else:
        text = f"Done: ticket {number} is open{model}."
    if result.get("team"):
        text += f" The team {result['team']} takes care of it."
    if result.get("updates"):
        text += f" You will get updates {result['updates']}."
    return with_question(text, ANYTHING_ELSE)


def tickets(listed: list[Json]) -> str:
    return "Your open tickets:\n\n" + "\n".join(map(_ticket_line, listed)) if listed else NO_TICKETS


def _ticket_line(one: Json) -> str:
    parts = [_value(one, "ticket_number")]
    parts += [str(one["short_description"])] if one.get("short_description") else []
    for key, label in (("state", "state"), ("stage", "stage"), ("opened_at", "opened"), ("laptop_code", "laptop")):
        if one.get(key):
            parts.append(f"{label} {one[key]}")
    return "- " + ", ".join(parts)


def _value(facts: Json, key: str) -> str:
    value = facts.get(key)
    return "not recorded" if value in (None, "") else _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return str(value)


def _sentence(words: str) -> str:
    words = words.strip()
    return words if not words or words[-1] in ".!?" else f"{words}."

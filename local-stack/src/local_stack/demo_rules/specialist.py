"""The laptop agent: what a message means after what was asked last, and which step follows."""

from local_stack.demo_rules import laptop, words
from local_stack.demo_rules.choice import Why
from local_stack.demo_rules.conversation import Conversation, Reply
from local_stack.demo_rules.intents import Intent, intent_of, wants_options, yes_or_no
from local_stack.demo_rules.steps import SEARCH, TRANSFER, agents_of, from_documents, hand_over, open_tickets

_SHARE_FOR_POLICY = 0.25
_SIDE_QUESTIONS = frozenset(
    {Intent.IDENTITY, Intent.PERSON, Intent.BACK, Intent.TICKETS, Intent.POLICY, Intent.IT_TOPIC, Intent.OUT_OF_SCOPE}
)
_NOTHING_ORDERED = Reply(words.with_question(words.NOTHING_ORDERED, words.ANYTHING_ELSE))


def answer(talk: Conversation) -> Reply:
    pending = _pending(talk)
    outcome = laptop.unworded_ticket(talk)
    if outcome is None and pending not in words.LAPTOP_QUESTIONS:
        outcome = laptop.answered_before(talk)
    if outcome is not None:
        return outcome
    if not talk.question:
        return Reply(words.with_question(words.LAPTOP_HELLO, words.LOOK_UP))
    return _to_the_question(talk, pending) or _by_intent(talk, pending)


def _pending(talk: Conversation) -> str:
    """The question that waits for an answer: ours, or the service's for a confirmation. Else what we asked before it spoke.

    While a confirmation is open nothing else is asked that a yes could answer."""
    ours = words.pending_question(talk.last_said)
    if ours or not talk.last_said:
        return ours
    if words.ASKS_TO_CONFIRM in talk.last_said:
        return words.CONFIRM
    asked = [question for text in talk.recently_said if (question := words.pending_question(text))]
    return asked[-1] if asked else ""


def _to_the_question(talk: Conversation, pending: str) -> Reply | None:
    """The message as the answer to what was asked last; None when it is about something else."""
    match pending:
        case words.WHICH_LAPTOP:
            return _after_which_laptop(talk)
        case words.GO_ON | words.LOOK_UP:
            return _after_yes_or_no(talk, pending)
        case words.WHICH_OPTION:
            return _after_which_option(talk)
        case words.ANYTHING_ELSE:
            return _after_anything_else(talk)
        case words.CONFIRM:
            return _after_confirmation(talk)
    return None


def _after_which_laptop(talk: Conversation) -> Reply | None:
    laptops = laptop.known_laptops(talk)
    chosen = laptop.chosen_laptop(talk, laptops)
    if chosen is not None:
        return chosen
    if intent_of(talk.question) in _SIDE_QUESTIONS:
        return None
    if yes_or_no(talk.question) is False:
        return _NOTHING_ORDERED
    return Reply(words.which_laptop({}, laptops))


def _after_yes_or_no(talk: Conversation, pending: str) -> Reply | None:
    intent = intent_of(talk.question)
    decision = yes_or_no(talk.question)
    is_yes_to_a_ticket = decision is not None and intent is Intent.TICKETS  # "yes, open my request"
    if intent in _SIDE_QUESTIONS and not is_yes_to_a_ticket:
        return None
    if decision is False:
        return _NOTHING_ORDERED
    if decision and pending == words.LOOK_UP:
        return laptop.tell_laptop(talk)
    if decision or (pending == words.GO_ON and wants_options(talk.question)):
        return laptop.tell_options(talk)
    if intent in (Intent.OTHER, Intent.UNCLEAR):
        return Reply(words.with_question(words.YES_OR_NO, pending))
    return None


def _after_which_option(talk: Conversation) -> Reply | None:
    options = laptop.known_options(talk)
    choice = laptop.choose_option(talk, options)
    if choice.why is Why.CHOSEN:
        return laptop.open_ticket(talk, options, choice)
    if intent_of(talk.question) in _SIDE_QUESTIONS:
        return None
    if yes_or_no(talk.question) is False:
        return _NOTHING_ORDERED
    if wants_options(talk.question):
        return laptop.tell_options(talk)
    return laptop.ask_option_again(options, choice)


def _after_anything_else(talk: Conversation) -> Reply | None:
    """A plain yes, no or goodbye ends the specialist's part: the routing agent goes on."""
    intent = intent_of(talk.question)
    decision = yes_or_no(talk.question) if intent in (Intent.OTHER, Intent.UNCLEAR) else None
    if decision is None and intent not in (Intent.BYE, Intent.THANKS):
        return None
    agent = _routing_agent(talk)
    if agent is not None:
        return hand_over(talk, agent)
    return Reply(words.WHAT_ELSE if decision else words.GOODBYE)


def _after_confirmation(talk: Conversation) -> Reply | None:
    """The service takes a plain yes or no itself. What comes here is another choice, another topic, or unclear."""
    options = laptop.known_options(talk)
    choice = laptop.choose_option(talk, options)
    if choice.why is Why.CHOSEN:
        return laptop.open_ticket(talk, options, choice)
    if intent_of(talk.question) in _SIDE_QUESTIONS:
        return None
    if wants_options(talk.question):
        return laptop.tell_options(talk)
    return Reply(words.with_question(words.UNCLEAR, words.CONFIRM))


def _by_intent(talk: Conversation, pending: str) -> Reply:
    """Answer a message by its topic alone, then come back to the question that waits."""
    question = pending or words.LOOK_UP
    match intent_of(talk.question):
        case Intent.IDENTITY:
            return Reply(words.with_question(words.IDENTITY, question))
        case Intent.PERSON:
            return Reply(words.with_question(words.NO_PERSON, question))
        case Intent.OUT_OF_SCOPE:
            return Reply(words.with_question(words.OUT_OF_SCOPE, question))
        case Intent.BACK | Intent.IT_TOPIC:
            return _back(talk, question)
        case Intent.TICKETS:
            return open_tickets(talk, pending or words.ANYTHING_ELSE)
        case Intent.POLICY:
            return _policy(talk, question)
        case Intent.LAPTOP:
            was_told = laptop.known_serial(talk) is not None
            return laptop.tell_options(talk) if was_told and wants_options(talk.question) else laptop.tell_laptop(talk)
        case Intent.THANKS | Intent.BYE:
            return Reply(words.with_question(words.WELCOME, pending or words.ANYTHING_ELSE))
        case Intent.GREETING | Intent.HELP:
            return Reply(words.with_question(words.LAPTOP_HELLO, question))
    return _unclear(talk, question)


def _unclear(talk: Conversation, question: str) -> Reply:
    if any(call.name == TRANSFER for call in talk.calls_of_turn):
        return laptop.tell_laptop(talk)  # the routing agent understood it as a matter of laptops
    return Reply(words.with_question(words.UNCLEAR, question))


def _back(talk: Conversation, question: str) -> Reply:
    """Another topic: the routing agent's matter, with the documents as the second best."""
    agent = _routing_agent(talk)
    if agent is not None:
        return hand_over(talk, agent)
    if SEARCH in talk.tools and intent_of(talk.question) is Intent.IT_TOPIC:
        return _policy(talk, question)
    return Reply(words.with_question(words.CANNOT_HAND_OVER, question))


def _routing_agent(talk: Conversation) -> str | None:
    agents = agents_of(talk)
    return next((agent for agent in agents if "rout" in agent.lower()), agents[0] if agents else None)


def _policy(talk: Conversation, question: str) -> Reply:
    if SEARCH not in talk.tools:
        return Reply(words.with_question(words.CANNOT_SEARCH, question))
    text = from_documents(talk, at_least=_SHARE_FOR_POLICY)
    return Reply(words.with_question(text or words.NOTHING_FOUND, question))

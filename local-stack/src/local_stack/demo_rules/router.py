"""The routing agent: greets, answers general questions from documents, hands over to a specialist."""

from local_stack.demo_rules import words
from local_stack.demo_rules.conversation import Conversation, Reply
from local_stack.demo_rules.intents import Intent, content_words, intent_of, normalize, yes_or_no
from local_stack.demo_rules.steps import SEARCH, TICKETS, ToolFailed, agents_of, from_documents, hand_over, open_tickets

_SHARE_FOR_IT_TOPIC = 0.25
_SHARE_FOR_ANY_TOPIC = 0.6  # nothing said that this is about IT: the documents must know it well
_FEWEST_WORDS_TO_SEARCH = 2


def answer(talk: Conversation) -> Reply:
    intent = intent_of(talk.question)
    if intent in (Intent.LAPTOP, Intent.TICKETS) or _about_laptops(talk, intent):
        return _to_specialist(talk, intent)
    match intent:
        case Intent.IDENTITY:
            return Reply(words.with_question(words.IDENTITY, words.WHAT_ELSE))
        case Intent.PERSON:
            return Reply(words.with_question(words.NO_PERSON, words.ANYTHING_ELSE))
        case Intent.IT_TOPIC | Intent.POLICY:
            return _from_documents(talk, _SHARE_FOR_IT_TOPIC, words.NOTHING_FOUND)
        case Intent.OUT_OF_SCOPE:
            return Reply(words.with_question(words.OUT_OF_SCOPE, words.WHAT_ELSE))
        case Intent.THANKS | Intent.BYE:
            return Reply(words.GOODBYE)
        case Intent.GREETING | Intent.HELP:
            return Reply(words.greeting(agents_of(talk)))
        case Intent.BACK:
            return Reply(f"{words.ALREADY_BACK} {words.WHAT_ELSE}")
    return _small_talk(talk)


def _small_talk(talk: Conversation) -> Reply:
    """A yes or no to the last question, else a question that the documents may know, else unclear."""
    pending = words.pending_question(talk.last_said)
    decision = yes_or_no(talk.question)
    if pending in words.LAPTOP_QUESTIONS and decision is not False:
        return _to_specialist(talk, Intent.LAPTOP)
    if decision is False and pending:
        return Reply(words.GOODBYE)
    if decision and pending == words.ANYTHING_ELSE:
        return Reply(words.WHAT_ELSE)
    if decision is None and len(content_words(talk.question)) >= _FEWEST_WORDS_TO_SEARCH and SEARCH in talk.tools:
        return _from_documents(
            talk, _SHARE_FOR_ANY_TOPIC, f"{words.OUT_OF_SCOPE} If it is about IT, please say it in other words."
        )
    return Reply(words.UNCLEAR)


def _about_laptops(talk: Conversation, intent: Intent) -> bool:
    """A question about rules belongs to the agent whose name is in it: it has the policy."""
    said = set(normalize(talk.question).split())
    return intent is Intent.POLICY and any(said & set(normalize(agent).split()) for agent in agents_of(talk))


def _to_specialist(talk: Conversation, intent: Intent) -> Reply:
    if intent is Intent.TICKETS and TICKETS in talk.tools:
        return open_tickets(talk, words.ANYTHING_ELSE)
    agents = agents_of(talk)
    agent = next((agent for agent in agents if "laptop" in agent.lower()), agents[0] if len(agents) == 1 else None)
    return hand_over(talk, agent) if agent else Reply(words.CANNOT_HAND_OVER)


def _from_documents(talk: Conversation, at_least: float, otherwise: str) -> Reply:
    if SEARCH not in talk.tools:
        return Reply(words.with_question(words.CANNOT_SEARCH, words.ANYTHING_ELSE))
    try:
        text = from_documents(talk, at_least=at_least)
    except ToolFailed as failure:
        return Reply(words.failed(failure.words))
    return Reply(words.with_question(text or otherwise, words.ANYTHING_ELSE))

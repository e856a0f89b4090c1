"""One turn of the rules: messages and tools in, a text or tool calls out. Pure: the same input gives the same reply."""

from local_stack.demo_rules import laptop, router, specialist, words
from local_stack.demo_rules.conversation import Conversation, Reply
from local_stack.demo_rules.steps import ToolFailed, ToolMissing, ToolNeeded


def reply_to(talk: Conversation, *, may_call: bool = True) -> Reply:
    """Play the agent that the offered tools belong to: laptop tools make the specialist, all else the router.

    `may_call=False` (the request forbids tools): a text always."""
    role = specialist if laptop.TOOLS & talk.tools.keys() else router
    try:
        reply = role.answer(talk)
    except ToolNeeded as needed:
        reply = Reply(calls=(needed.call,))
    except ToolFailed as failure:
        reply = Reply(words.failed(failure.words))
    except ToolMissing as missing:
        reply = Reply(words.with_question(words.missing_tool(missing.tool), words.ANYTHING_ELSE))
    return reply if may_call or not reply.calls else Reply(words.NO_TOOLS)

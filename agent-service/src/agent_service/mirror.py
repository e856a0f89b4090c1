"""LLAMA_STACK_SESSIONS=server: the model server keeps a copy of each conversation. Our rows stay the record."""

from dataclasses import dataclass
from uuid import UUID

from shared_models.database import Database
from shared_models.logging import get_logger

from agent_service.domain.answers import Reply
from agent_service.domain.ports import Conversations, Item
from agent_service.domain.turn import message
from agent_service.errors import ConversationLost, ModelError
from agent_service.run import Run
from agent_service.store import sessions

MOST_MESSAGES = 1_000
BEFORE_ALL = (-1, UUID(int=0), False)

log = get_logger(__name__)


@dataclass(frozen=True)
class Mirror:
    """`conversations` is None with LLAMA_STACK_SESSIONS=none."""

    database: Database
    conversations: Conversations | None

    async def add(self, run: Run, reply: Reply) -> str | None:
        """Add this turn to the server's copy, or make the copy anew from our rows. Returns the conversation's id.

        None (no copy, or it could not be written): the next turn makes it anew. An answer never fails by this."""
        if self.conversations is None:
            return None
        said = [message("user", run.request.content), message("assistant", reply.text)]
        known = run.begun.conversation_id
        try:
            # A run that was taken up again may have been added before: only a new copy is certain.
            if known is not None and run.attempt == 1:
                try:
                    await self.conversations.append(known, said)
                except ConversationLost:
                    log.warning("conversation_lost")
                else:
                    return known
            return await self.conversations.create([*await self._earlier(run), *said])
        except ModelError as exc:
            log.warning("conversation_not_mirrored", code=exc.code)
            return None

    async def _earlier(self, run: Run) -> list[Item]:
        rows = await sessions.messages(self.database, run.begun.session_id, BEFORE_ALL, MOST_MESSAGES)
        start = run.begun.context_from_seq
        return [message(said.role, said.content) for (seq, _, _), said in rows if seq >= start]

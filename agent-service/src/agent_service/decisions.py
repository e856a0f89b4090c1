"""What a message means for an open confirmation, and what follows from it."""

from dataclasses import dataclass

import orjson
from shared_models.database import Database
from shared_models.work_item import RetryLater

from agent_service.domain.answers import Reply
from agent_service.domain.confirmations import Asked, State, Verdict, hash_of, judge, note_of_repeat
from agent_service.domain.turn import Call, Step
from agent_service.run import Run, RunOver
from agent_service.store import checkpoints
from agent_service.toolbox import intent_step, result_step
from agent_service.turn_loop import TurnLoop

TOO_LATE = (
    "Your answer came too late: a question like this is open for 15 minutes. Nothing was done. "
    "Tell me if you still want it, and I will ask again."
)
REPLACED = "That question was replaced by a newer one, so nothing was done. Tell me if you still want it."
UNKNOWN = "I do not know that question, so nothing was done. Tell me what you need, and I will ask again."
WORDS = {Verdict.EXPIRED: TOO_LATE, Verdict.REPLACED: REPLACED, Verdict.UNKNOWN: UNKNOWN}


@dataclass(frozen=True)
class Decisions:
    database: Database
    loop: TurnLoop

    async def settle(self, run: Run) -> Reply | None:
        """Carry out what the person decided; the turn loop then goes on. A Reply: that is all there is to say."""
        asked = run.begun.asked
        if asked is not None and asked.answered_by == run.id:
            # Decided before a crash: what follows is in the steps.
            self._take_over(run, asked)
            return None
        verdict = judge(run.request.content, run.request.confirm, asked, now=run.begun.now)
        if asked is not None and verdict is Verdict.APPROVE and not self._still_stands(asked):
            verdict = Verdict.UNKNOWN
        if verdict in WORDS:
            return Reply(WORDS[verdict], self.loop.agent_of(run).ref)
        if asked is None or verdict is Verdict.NONE:
            return None
        self._take_over(run, asked)
        if verdict is Verdict.APPROVE:
            await self._approve(run, asked)
        elif verdict is Verdict.REJECT:
            await self._reject(run, asked)
        else:
            run.note = note_of_repeat(asked)
            if asked.state is State.REJECTED:
                run.barred.discard(asked.tool)
        return None

    def _still_stands(self, asked: Asked) -> bool:
        """What was asked is what would be done, and its agent may still do it."""
        agent = self.loop.outside.agents.get(asked.agent)
        is_same = hash_of(asked.tool, asked.arguments) == asked.arguments_hash
        return is_same and agent is not None and agent.server_of(asked.tool) == asked.server

    def _take_over(self, run: Run, asked: Asked) -> None:
        """The agent that asked goes on; in this run it may not call that tool again."""
        run.turn.agent = asked.agent
        run.barred.add(asked.tool)

    async def _approve(self, run: Run, asked: Asked) -> None:
        """The stored arguments, under the confirmation's own id: however often it is tried, it happens once."""
        n = run.turn.last_n + 1
        intent = intent_step(n, asked.tool, asked.server, asked.arguments, str(asked.id))
        await self._decide(run, asked, State.APPROVED, intent)
        run.turn.tool_intended(intent)

    async def _reject(self, run: Run, asked: Asked) -> None:
        call = Call(run.turn.last_n + 1, asked.tool, "")
        step = result_step(call, asked.server, orjson.dumps({"status": "declined"}).decode(), outcome="rejected")
        step = Step(step.n, step.kind, is_result=True, data=step.data | {"arguments": asked.arguments})
        await self._decide(run, asked, State.REJECTED, step)
        run.turn.tool_answered(step)

    async def _decide(self, run: Run, asked: Asked, state: State, step: Step) -> None:
        """Raises RunOver when the run has ended, RetryLater when the question was settled in this very moment."""
        if asked.state is State.APPROVED:
            saved = await checkpoints.checkpoint(self.database, run.id, run.attempt, [step])
        else:
            saved = await checkpoints.decide(self.database, run.id, run.attempt, [step], asked, state)
        if not saved.goes_on:
            raise RunOver
        if asked.state is State.OPEN and not saved.is_decided:
            raise RetryLater("the question was settled in this very moment", after_s=0.0)

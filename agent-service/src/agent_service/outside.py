"""Everything the agents reach outside this process's database."""

from dataclasses import dataclass

from agent_service.domain.agents import AgentCatalogue
from agent_service.domain.ports import Conversations, Knowledge, Model, Tools


@dataclass(frozen=True)
class Outside:
    """`conversations` is there with LLAMA_STACK_SESSIONS=server only."""

    agents: AgentCatalogue
    model: Model
    tools: Tools
    knowledge: Knowledge
    conversations: Conversations | None = None

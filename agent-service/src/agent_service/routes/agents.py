"""What is installed: agents and knowledge bases."""

from fastapi import APIRouter
from shared_models.schemas import AgentView, KnowledgeBaseView, Page

from agent_service.routes.dependencies import CALLERS, CallerDep, PartsDep, problems

router = APIRouter(prefix="/api/v1", tags=["agents"])


@router.get("/agents", responses=problems(), openapi_extra=CALLERS)
async def list_agents(parts: PartsDep, _caller: CallerDep) -> Page[AgentView]:
    return Page(items=[agent.view() for agent in parts.outside.agents])


@router.get("/knowledge-bases", responses=problems(), openapi_extra=CALLERS)
async def list_knowledge_bases(parts: PartsDep, _caller: CallerDep) -> Page[KnowledgeBaseView]:
    return Page(items=await parts.outside.knowledge.list_bases())

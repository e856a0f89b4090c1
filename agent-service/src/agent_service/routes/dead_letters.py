"""What agent-service has given up, for request-manager."""

from fastapi import Request
from shared_models.dead_letter_box import DeadLetterBox
from shared_models.dead_letter_routes import dead_letter_router

from agent_service.parts import Parts
from agent_service.routes.dependencies import request_manager


def box_of(request: Request) -> DeadLetterBox:
    parts: Parts = request.app.state.parts
    return parts.dead_letters


router = dead_letter_router(box_of, request_manager)

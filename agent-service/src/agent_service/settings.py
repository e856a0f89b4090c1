"""Settings of agent-service: the only file of it that names environment variables."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from shared_models.settings import ServiceSettings
from shared_models.tokens import IdentitySigner

from agent_service.agent_files import AGENTS_FOLDER

KNOWLEDGE_FOLDER = AGENTS_FOLDER.parent / "knowledge"


class ServerSessions(StrEnum):
    """Whether the model server keeps a copy of each conversation."""

    NONE = "none"
    SERVER = "server"


class Settings(ServiceSettings):
    port: int = Field(default=8081, ge=0, le=65535)
    llama_stack_url: str = "http://127.0.0.1:8321"
    llama_stack_model: str = Field(default="", description="empty: the first language model that the server lists")
    llama_stack_api_key: SecretStr = SecretStr("")
    llama_stack_sessions: ServerSessions = ServerSessions.NONE
    embeddings_url: str = Field(default="http://127.0.0.1:8086/v1", description="empty: knowledge is found by words")
    embeddings_model: str = "use-multilingual-v3"
    embeddings_api_key: SecretStr = SecretStr("")
    identity_signing_key: SecretStr = Field(description="base64 of a raw 32-byte Ed25519 seed")
    mcp_servers: dict[str, str] = Field(
        default_factory=dict, description="name → URL of the MCP endpoint; empty URL: off"
    )
    agents_dir: Path = AGENTS_FOLDER
    knowledge_dir: Path = KNOWLEDGE_FOLDER

    run_concurrency: int = Field(default=512, ge=1)
    runs_per_user: int = Field(default=3, ge=1, description="at work at the same time; the others wait")
    answer_wait_s: float = Field(default=25.0, gt=0, description="how long /answers waits for the end")
    processing_after_s: float = Field(default=2.0, gt=0, description="a longer run is announced")
    model_retries: int = Field(default=2, ge=0, le=5)
    model_retry_base_s: float = Field(default=0.5, gt=0)
    session_days: int = Field(default=30, ge=1, description="a session without a request for so long has expired")
    sweep_every_s: float = Field(default=15.0, gt=0)

    @property
    def mcp_servers_off(self) -> frozenset[str]:
        return frozenset(name for name, url in self.mcp_servers.items() if not url)

    @model_validator(mode="after")
    def check_own(self) -> Self:
        try:
            IdentitySigner(self.identity_signing_key.get_secret_value())
        except ValueError as exc:
            raise ValueError("IDENTITY_SIGNING_KEY must be the base64 of 32 bytes") from exc
        return self

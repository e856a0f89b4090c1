"""Everything that the runner reads from the environment, and where this checkout is."""

import os
import shutil
import subprocess
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from local_stack.problems import LaunchProblem

REPOSITORY = Path(__file__).resolve().parents[3]
OWN_UV = REPOSITORY / ".local" / "uv" / "bin" / "uv"
METRICS_OFFSET = 1000


class UpSettings(BaseSettings):
    """Ports are of 127.0.0.1; `postgres_port` 0 takes a free one at each start."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    database_url: SecretStr = SecretStr("")
    pghost: str = ""
    pgservice: str = ""
    kubernetes_service_host: str = ""
    selfservice_pg_bin: str = ""
    xdg_state_home: str = ""

    llama_stack_url: str = ""
    llama_stack_model: str = ""
    llm_url: str = ""
    llm_model: str = ""
    llm_api_key: SecretStr = SecretStr("")

    sms_account_sid: str = Field(default="", description="a real account instead of the stand-in")
    smtp_host: str = Field(default="", description="a real mail server instead of the stand-in")
    slack_bot_token: SecretStr = Field(default=SecretStr(""), description="a real workspace instead of the stand-in")

    eventing_enabled: bool = False
    broker_url: str = Field(default="", description="with eventing: this broker instead of the local one")

    request_manager_port: int = Field(default=8080, gt=0, le=65535)
    agent_service_port: int = Field(default=8081, gt=0, le=65535)
    integration_dispatcher_port: int = Field(default=8082, gt=0, le=65535)
    servicenow_mcp_port: int = Field(default=8090, gt=0, le=65535)
    broker_port: int = Field(default=8085, gt=0, le=65535)
    demo_rules_port: int = Field(default=8086, gt=0, le=65535)
    servicenow_port: int = Field(default=8087, gt=0, le=65535)
    phones_port: int = Field(default=8094, gt=0, le=65535)
    mail_port: int = Field(default=8091, gt=0, le=65535)
    mail_smtp_port: int = Field(default=8092, gt=0, le=65535)
    mail_imap_port: int = Field(default=8093, gt=0, le=65535)
    slack_port: int = Field(default=8088, gt=0, le=65535)
    ogx_port: int = Field(default=8321, gt=0, le=65535)
    postgres_port: int = Field(default=0, ge=0, le=65535)


def inherited_environment() -> dict[str, str]:
    """The environment that children start from: ours."""
    return dict(os.environ)


def find_uv() -> str:
    """The uv that make used, the one on the PATH, or the checkout's own. Raises LaunchProblem when none runs."""
    for candidate in (os.environ.get("UV", ""), shutil.which("uv") or "", str(OWN_UV)):
        if candidate and _runs(candidate):
            return str(REPOSITORY / candidate)
    raise LaunchProblem("uv is needed to install the model server: start with `make up`, which brings it")


def _runs(program: str) -> bool:
    """A pyenv shim is found on the PATH and yet may not run."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, timeout=30, check=False, cwd=REPOSITORY)
    except OSError:
        return False
    return answer.returncode == 0

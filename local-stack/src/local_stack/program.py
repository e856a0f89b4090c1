"""What the programs of the stand-ins have in common: their options, settings, readiness, and the control of tests."""

import argparse
import hmac
import os
import sys
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Header
from fastapi.exceptions import HTTPException
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings
from shared_models.settings import SECRETS_DIR


def options(program: str, description: str | None, *, port: int, state: str) -> argparse.ArgumentParser:
    """The options that each has; `state` says what it keeps in its folder."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--state-dir", type=Path, required=True, help=state)
    return parser


def settings_of[S: BaseSettings](kind: type[S]) -> S:
    """The settings of the environment, secrets also from files of SECRETS_DIR. Bad ones end the program, named."""
    try:
        return kind(_secrets_dir=os.environ.get(SECRETS_DIR))
    except ValidationError as exc:
        prefix = kind.model_config.get("env_prefix", "")
        told = [f"{prefix}{error['loc'][0]}".upper() + f": {error['msg']}" for error in exc.errors() if error["loc"]]
        print("; ".join(told or [error["msg"] for error in exc.errors()]), file=sys.stderr)
        sys.exit(2)


def serve(app: FastAPI, chosen: argparse.Namespace) -> None:
    uvicorn.run(
        app, host=chosen.host, port=chosen.port, log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )


def readiness() -> APIRouter:
    router = APIRouter()

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    return router


def control(token: SecretStr) -> APIRouter:
    """Routes below `/_standin` for tests of other processes. They are not there for who does not know the token, or without one."""
    wanted = token.get_secret_value().encode()

    async def may_control(x_control_token: Annotated[str, Header()] = "") -> None:
        if not wanted or not hmac.compare_digest(x_control_token.encode(), wanted):
            raise HTTPException(404)

    return APIRouter(prefix="/_standin", dependencies=[Depends(may_control)])

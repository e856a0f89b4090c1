"""structlog for every process: one JSON line per event, ids bound once per request or row."""

import json
import logging
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import TextIO

import orjson
import structlog

from shared_models.causes import traceback_of

SECRET_NAMES = ("authorization", "api_key", "token", "secret", "password", "cookie", "signature")


@lru_cache(maxsize=1024)
def sounds_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_NAMES)


def hide_secrets(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace the value of any field whose name sounds like a secret."""
    for name in event:
        if sounds_secret(name) and isinstance(event[name], str):
            event[name] = "***"
    return event


def as_json(event: structlog.typing.EventDict, default: Callable[[object], object]) -> str:
    """One line, in ASCII whatever the stream's encoding. orjson is ten times faster, and refuses what a log must not refuse."""
    try:
        line = orjson.dumps(event, default=default, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        return json.dumps(event, default=default)
    return line if line.isascii() else json.dumps(event, default=default)


def configure_logging(
    service: str, *, level: str = "INFO", log_format: str = "json", stream: TextIO = sys.stdout
) -> None:
    """Send structlog and the standard library's loggers to `stream`. Call once per process."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        hide_secrets,
        structlog.processors.ExceptionRenderer(lambda exc_info: traceback_of(exc_info[1])),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(as_json)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    structlog.contextvars.bind_contextvars(service=service)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return logger

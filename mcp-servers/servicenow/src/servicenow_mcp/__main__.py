"""`python -m servicenow_mcp` serves the MCP server with the settings of the environment."""

import sys

from pydantic import ValidationError
from shared_models.health import create_operations_app
from shared_models.logging import configure_logging
from shared_models.telemetry import configure_tracing
from shared_models.web import run

from servicenow_mcp.app import SERVICE, create_app, create_health
from servicenow_mcp.settings import Settings, complaint


def main() -> None:
    try:
        settings = Settings()
    except ValidationError as exc:
        sys.exit(f"The ServiceNow MCP server cannot start: {complaint(exc)}")
    configure_logging(SERVICE, level=settings.log_level, log_format=settings.log_format)
    configure_tracing(SERVICE, settings.otel_exporter_otlp_endpoint)
    operations = create_operations_app(create_health(settings)) if settings.metrics_port else None
    run(create_app(settings), settings, operations=operations, metrics_port=settings.metrics_port)


if __name__ == "__main__":
    main()

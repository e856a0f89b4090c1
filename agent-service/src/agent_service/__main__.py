"""`python -m agent_service`: serve until SIGINT or SIGTERM."""

import sys

from shared_models.enums import ServiceName
from shared_models.logging import configure_logging
from shared_models.settings import read_settings
from shared_models.telemetry import configure_tracing
from shared_models.web import run

from agent_service.agent_files import AgentFilesInvalid
from agent_service.app import create_app
from agent_service.settings import Settings


def main() -> int:
    name = ServiceName.AGENT_SERVICE.value
    settings = read_settings(Settings, name)
    configure_logging(name, level=settings.log_level, log_format=settings.log_format)
    configure_tracing(name, settings.otel_exporter_otlp_endpoint)
    try:
        app = create_app(settings)
    except AgentFilesInvalid as exc:
        sys.stderr.write(f"The agents cannot be used:\n{exc}\n")
        return 2
    run(app, settings, operations=app.state.operations, metrics_port=settings.metrics_port)
    return 0


if __name__ == "__main__":
    sys.exit(main())

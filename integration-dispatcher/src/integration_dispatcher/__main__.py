"""`python -m integration_dispatcher`: serve until SIGINT or SIGTERM."""

from shared_models.enums import ServiceName
from shared_models.logging import configure_logging
from shared_models.settings import read_settings
from shared_models.telemetry import configure_tracing
from shared_models.web import run

from integration_dispatcher.app import create_app
from integration_dispatcher.settings import Settings


def main() -> None:
    name = ServiceName.INTEGRATION_DISPATCHER.value
    settings = read_settings(Settings, name)
    configure_logging(name, level=settings.log_level, log_format=settings.log_format)
    configure_tracing(name, settings.otel_exporter_otlp_endpoint)
    app = create_app(settings)
    run(app, settings, operations=app.state.operations, metrics_port=settings.metrics_port)


if __name__ == "__main__":
    main()

"""`python -m request_manager`: the service, and on METRICS_PORT its operators' port."""

from shared_models.health import create_operations_app
from shared_models.logging import configure_logging
from shared_models.settings import read_settings
from shared_models.telemetry import configure_tracing
from shared_models.web import run

from request_manager.app import NAME, create_app, refresh_gauges
from request_manager.settings import RequestManagerSettings


def main() -> None:
    settings = read_settings(RequestManagerSettings, NAME.value)
    configure_logging(NAME.value, level=settings.log_level, log_format=settings.log_format)
    configure_tracing(NAME.value, settings.otel_exporter_otlp_endpoint)
    app = create_app(settings)
    operations = create_operations_app(app.state.health, lambda: refresh_gauges(app.state.parts))
    run(app, settings, operations=operations, metrics_port=settings.metrics_port)


if __name__ == "__main__":
    main()

"""The database to use instead of the embedded one, if the environment names any."""

import configparser
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from local_stack.problems import LaunchProblem
from local_stack.settings import UpSettings

SCHEMES = ("postgres", "postgresql", "postgresql+asyncpg")
EMBEDDED_HINT = "unset it to use the embedded PostgreSQL"


def external_url(settings: UpSettings, environment: Mapping[str, str]) -> str | None:
    """DATABASE_URL, else the libpq environment (`PGHOST`, `PGSERVICE`), else None: the embedded server.

    Raises LaunchProblem for something that is no PostgreSQL URL, and inside Kubernetes, where nothing may fall back."""
    given = settings.database_url.get_secret_value().strip()
    if given:
        if urlsplit(given).scheme not in SCHEMES:
            raise LaunchProblem(f"DATABASE_URL must begin with postgresql://; change it, or {EMBEDDED_HINT}")
        return given  # every program brings it into the form that it wants
    if settings.pghost or settings.pgservice:
        return libpq_url(environment)
    if settings.kubernetes_service_host:
        raise LaunchProblem("In Kubernetes the embedded PostgreSQL is not for use: set DATABASE_URL")
    return None


def libpq_url(environment: Mapping[str, str]) -> str:
    """PGHOST and its like as a URL. Source: https://www.postgresql.org/docs/18/libpq-envars.html"""
    values = {name: environment.get(f"PG{name.upper()}", "") for name in ("host", "port", "user", "password")}
    values["dbname"] = environment.get("PGDATABASE", "")
    if environment.get("PGSERVICE"):
        values = _service(environment) | {name: value for name, value in values.items() if value}
    user = values.get("user") or environment.get("USER", "postgres")
    password = values.get("password", "")
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    host, port = values.get("host") or "127.0.0.1", values.get("port") or "5432"
    database = quote(values.get("dbname") or user, safe="")
    if host.startswith("/"):  # the folder of a unix socket
        return f"postgresql://{login}@/{database}?{urlencode({'host': host, 'port': port})}"
    return f"postgresql://{login}@{host}:{port}/{database}"


def _service(environment: Mapping[str, str]) -> dict[str, str]:
    """A section of the service file. Source: https://www.postgresql.org/docs/18/libpq-pgservice.html"""
    name = environment["PGSERVICE"]
    path = Path(environment.get("PGSERVICEFILE") or Path.home() / ".pg_service.conf")
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text())
        return dict(parser[name])
    except (OSError, KeyError, configparser.Error) as exc:
        raise LaunchProblem(f"PGSERVICE={name} is not in {path}: correct it, or {EMBEDDED_HINT}") from exc

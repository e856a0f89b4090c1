"""Where a checkout keeps its database: `.local/postgres`, or, when root's checkout is closed to nobody, a folder outside."""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from local_stack.postgres import ClusterOptions, PostgresCluster
from local_stack.postgres_binaries import can_enter, server_identity
from local_stack.problems import LaunchProblem
from local_stack.processes import Identity, Pause
from local_stack.settings import UpSettings

LOCATION = "location"  # file in `.local/postgres` that names the folder outside


def cluster_folder(state_dir: Path, state_homes: list[Path]) -> Path:
    """The folder for the cluster, made if need be. Raises LaunchProblem when no place can be entered by the server's user.

    `state_homes` are the places to try outside the checkout, see `system_state_homes`."""
    own = state_dir / "postgres"
    own.mkdir(parents=True, exist_ok=True)
    identity = server_identity()
    if identity is None or can_enter(own, identity):
        return own
    key = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:12]
    for home in state_homes:
        folder = home / "self-service-agent" / key
        if _usable(folder, identity):
            (own / LOCATION).write_text(f"{folder}\n")
            return folder
    raise LaunchProblem(
        f"As root PostgreSQL runs as nobody, who cannot enter {own}: chmod o+x its parents, or set DATABASE_URL"
    )


def embedded_cluster(state_dir: Path, settings: UpSettings, pause: Pause) -> PostgresCluster:
    """The cluster of a state folder, not yet started. Raises LaunchProblem."""
    chosen = settings.selfservice_pg_bin
    options = ClusterOptions(port=settings.postgres_port or None, programs=Path(chosen) if chosen else None)
    folder = cluster_folder(state_dir, system_state_homes(settings.xdg_state_home))
    return PostgresCluster(folder, log=state_dir / "logs" / "postgres.log", options=options, pause=pause)


def system_state_homes(xdg_state_home: str) -> list[Path]:
    """The user's state folder if one is set, the system's, the temporary folder; the first that serves is taken."""
    homes = [Path(xdg_state_home)] if xdg_state_home else []
    return [*homes, Path("/var/lib"), Path(tempfile.gettempdir())]


def recorded_folder(state_dir: Path) -> Path:
    """The cluster's folder of a state folder, as a reset needs it."""
    own = state_dir / "postgres"
    with suppress(OSError):
        return Path((own / LOCATION).read_text().strip())
    return own


def _usable(folder: Path, identity: Identity) -> bool:
    """Make it, then see that it is ours (the temporary folder is everybody's) and that the server's user can enter it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    ours = all(place.stat().st_uid == os.geteuid() and not place.is_symlink() for place in (folder, folder.parent))
    return ours and can_enter(folder, identity)

"""`local_stack reset`: end what is left of earlier runs and delete what the runner keeps."""

import shutil
from pathlib import Path

from local_stack.postgres import PostgresCluster
from local_stack.postgres_folder import recorded_folder
from local_stack.screen import Screen
from local_stack.state import RunFile, take_run_lock

# Named one by one, so that a wrong --state-dir cannot cost a person their own files.
STATE = (
    "env",
    "secrets.json",
    "run.json",
    "run.lock",
    "logs",
    "postgres",
    "servicenow",
    "slack",
    "mail",
    "model-server",
)
INSTALLED = ("ogx", "llama-stack", "tools", "debian", "uv", "uv.log")


def reset(state_dir: Path, screen: Screen, *, with_installed: bool) -> int:
    """Raises LaunchProblem when the stack is running."""
    with take_run_lock(state_dir):
        ended = RunFile(state_dir).end_leftovers()
        cluster_folder = recorded_folder(state_dir)
        if cluster_folder.exists():
            PostgresCluster(cluster_folder, log=state_dir / "logs" / "postgres.log").stop_leftover()
            shutil.rmtree(cluster_folder)
        for name in (*STATE, *(INSTALLED if with_installed else ())):
            _delete(state_dir / name)
    if ended:
        screen.line(f"Ended what an earlier run left: {', '.join(ended)}")
    screen.line(f"Deleted the local data in {state_dir}")
    return 0


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

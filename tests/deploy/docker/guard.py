"""`python -m tests.deploy.docker.guard FOLDER NAMESPACE`: ends the engine of FOLDER when standard input ends.

That is when the tests are done, and also when they were killed: the pipe ends with its writer. Nothing is left of it."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

import psutil
from local_stack.problems import LaunchProblem

from tests.deploy.docker.packages import run
from tests.support.waiting import eventually_blocking

NAMESPACES = Path("/var/run/netns")
# dockerd gives its containers 15 s, then kills them.
DAEMON_ENDS_WITHIN_S = 120.0


def end_engine(folder: Path) -> None:
    """Ends the daemon whose files are in the folder, then whatever it has left of containerd and its containers."""
    for daemon in _processes(folder, "dockerd"):
        _signal(daemon, "terminate")
    with suppress(AssertionError):  # it hangs: it is killed with the rest
        eventually_blocking(lambda: not _processes(folder, "dockerd"), within_s=DAEMON_ENDS_WITHIN_S, every_s=0.1)

    def is_empty() -> bool:
        left = _processes(folder)
        for process in left:
            _signal(process, "kill")
        return not left

    eventually_blocking(is_empty, every_s=0.1)


def _processes(folder: Path, name: str = "") -> list[psutil.Process]:
    """Those that name the folder in their command, with their children: the shims' are the containers."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if not any(f"{folder}/" in part for part in command) or (name and Path(command[0]).name != name):
                continue
            for each in (process, *([] if name else process.children(recursive=True))):
                if each.status() != psutil.STATUS_ZOMBIE:
                    found[each.pid] = each
        except psutil.NoSuchProcess:
            continue
    return list(found.values())


def _signal(process: psutil.Process, name: str) -> None:
    try:
        getattr(process, name)()
    except psutil.NoSuchProcess:
        return


def remove(folder: Path, namespace: str) -> None:
    end_engine(folder)
    if (NAMESPACES / namespace).exists():
        run("ip", "netns", "delete", namespace)
    mounts = [mount.mountpoint for mount in psutil.disk_partitions(all=True)]
    for mount in sorted(mounts, reverse=True):
        if mount.startswith(f"{folder}/"):
            run("umount", "-l", mount)
    shutil.rmtree(folder)


def main() -> int:
    folder, namespace = Path(sys.argv[1]), sys.argv[2]
    sys.stdin.read()
    try:
        remove(folder, namespace)
    except (LaunchProblem, AssertionError, OSError) as problem:
        print(f"left of the Docker Engine in {folder}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

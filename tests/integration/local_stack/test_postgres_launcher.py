"""The embedded PostgreSQL: data survives, an earlier server is adopted, a wrong state is one plain line."""

import getpass
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from local_stack.database_check import check
from local_stack.postgres import FOR_TESTS, ClusterOptions, PostgresCluster
from local_stack.postgres_binaries import find_binaries, server_identity
from local_stack.postgres_folder import cluster_folder, recorded_folder
from local_stack.problems import LaunchProblem

from tests.support.waiting import eventually

# Durable as in development, where the test is about what survives.
DURABLE = ClusterOptions()
FAST = ClusterOptions(settings=tuple(FOR_TESTS.items()))
# A runner that starts the cluster in its first argument, tells, and waits to be killed.
RUNNER = """
import sys, time
from pathlib import Path
from local_stack.postgres import PostgresCluster
cluster = PostgresCluster(Path(sys.argv[1]), log=Path(sys.argv[1]) / "log")
cluster.start()
print(cluster.server_pid, flush=True)
time.sleep(120)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter: pytest's own are closed, and as root the server is another user."""
    folder = Path(tempfile.mkdtemp(prefix="ssa-launcher-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def cluster_in(folder: Path, options: ClusterOptions = FAST) -> PostgresCluster:
    return PostgresCluster(folder / "cluster", log=folder / "log", options=options)


async def ask(cluster: PostgresCluster, *statements: str) -> object:
    """The value of the last statement."""
    db = await asyncpg.connect(cluster.url(), timeout=60)
    try:
        for statement in statements[:-1]:
            await db.execute(statement)
        return await db.fetchval(statements[-1])
    finally:
        await db.close()


def kill_server(cluster: PostgresCluster) -> None:
    os.kill(cluster.server_pid, signal.SIGKILL)


async def test_data_survives_a_stop_a_kill_of_the_server_and_a_new_start(open_folder: Path) -> None:
    cluster = cluster_in(open_folder, DURABLE)
    cluster.start()
    try:
        assert await ask(cluster, "show fsync") == "on"
        await ask(cluster, "create table kept as select 1 as x", "select 1")
        cluster.stop()
        cluster.start()
        await ask(cluster, "insert into kept values (2)", "select 1")
        kill_server(cluster)
        cluster.stop()
        cluster.start()
        assert await ask(cluster, "select count(*) from kept") == 2
    finally:
        cluster.stop()
    assert not (open_folder / "cluster" / "data" / "postmaster.pid").exists()


async def test_the_server_is_local_has_vectors_and_wants_the_private_password(open_folder: Path) -> None:
    cluster = cluster_in(open_folder)
    cluster.start()
    try:
        assert await ask(cluster, "create extension vector", "select '[3,4]'::vector <-> '[0,0]'::vector") == 5.0
        assert await ask(cluster, "show listen_addresses") == "127.0.0.1"
        server_user = psutil.Process(cluster.server_pid).username()
        assert server_user == ("nobody" if os.geteuid() == 0 else getpass.getuser())
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(cluster.url(), password="guess", timeout=60)
        assert (open_folder / "cluster" / "password").stat().st_mode & 0o077 == 0
    finally:
        cluster.stop()


async def test_it_also_listens_on_a_private_socket(open_folder: Path) -> None:
    deep = open_folder / ("a-long-name" * 12)  # longer than a socket's path may be
    for folder in (open_folder, deep):
        cluster = cluster_in(folder)
        cluster.start()
        try:
            socket_folder, port = [
                str(await ask(cluster, f"show {name}")) for name in ("unix_socket_directories", "port")
            ]
            db = await asyncpg.connect(cluster.url(), host=socket_folder, port=int(port), timeout=60)
            await db.close()
            assert is_private(Path(socket_folder))
        finally:
            cluster.stop()
    assert not is_private(Path(socket_folder)), "a socket folder outside the cluster goes with the server"


def is_private(folder: Path) -> bool:
    return folder.exists() and folder.stat().st_mode & 0o077 == 0


def test_a_running_server_of_this_folder_is_adopted(open_folder: Path) -> None:
    cluster = cluster_in(open_folder)
    cluster.start()
    cluster.stop()
    identity = server_identity()
    with (open_folder / "by-hand.log").open("wb") as log:
        server = subprocess.Popen(
            [*server_command(cluster), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
            stdout=log,
            stderr=log,
            user=identity.uid if identity else None,
            group=identity.gid if identity else None,
            extra_groups=[] if identity else None,
        )
    with server:
        while not (open_folder / "cluster" / "data" / "postmaster.pid").exists():
            assert server.poll() is None
        cluster.start()
        assert cluster.server_pid == server.pid
        cluster.stop()


def server_command(cluster: PostgresCluster) -> list[str]:
    copies = list(cluster.folder.glob("postgres-*/*/*/bin"))  # made where the server's user cannot reach the checkout
    return [str((copies or [find_binaries()])[0] / "postgres"), "-D", str(cluster.folder / "data")]


async def test_after_a_kill_of_the_runner_the_next_start_works(open_folder: Path) -> None:
    runner = start_runner(open_folder / "cluster")
    assert runner.stdout is not None
    server = psutil.Process(int(runner.stdout.readline()))
    runner.kill()
    runner.communicate(timeout=60)
    cluster = cluster_in(open_folder)
    cluster.start()
    try:
        assert await ask(cluster, "select 1") == 1
    finally:
        cluster.stop()
    await eventually(lambda: is_gone(server))


def start_runner(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", RUNNER, str(folder)], stdout=subprocess.PIPE, text=True)


async def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_stale_pid_file_that_names_somebody_else_is_no_obstacle(open_folder: Path) -> None:
    cluster = cluster_in(open_folder)
    cluster.start()
    cluster.stop()
    pid_file = open_folder / "cluster" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n0\n5432\n\n127.0.0.1\n0 0\nready\n")
    cluster.start()
    assert cluster.server_pid != os.getpid()
    cluster.stop()


def test_a_second_run_on_the_same_data_is_refused(open_folder: Path) -> None:
    cluster = cluster_in(open_folder)
    cluster.start()
    try:
        with pytest.raises(LaunchProblem, match="in use by another run"):
            cluster_in(open_folder).start()
    finally:
        cluster.stop()


def test_data_of_another_major_version_is_refused_with_the_fix(open_folder: Path) -> None:
    cluster = cluster_in(open_folder)
    cluster.start()
    cluster.stop()
    (open_folder / "cluster" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(LaunchProblem, match=r"is of PostgreSQL 9, not \d+: `make reset` removes it"):
        cluster.start()
    cluster.stop()


async def test_programs_that_the_servers_user_cannot_reach_are_copied(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    cluster = cluster_in(open_folder, ClusterOptions(programs=copied_programs(closed), settings=FAST.settings))
    cluster.start()
    try:
        assert await ask(cluster, "select 1") == 1
    finally:
        cluster.stop()


def copied_programs(folder: Path) -> Path:
    """The bin folder of a copy of the whole installation below `folder`."""
    programs = find_binaries()
    package = programs.parents[1]
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, folder / source.name)
    return folder / programs.relative_to(package.parent)


def test_a_server_without_pgvector_is_one_line_that_names_the_fix(open_folder: Path) -> None:
    programs = copied_programs(open_folder)
    (programs.parent / "share" / "extension" / "vector.control").unlink()
    cluster = cluster_in(open_folder, ClusterOptions(programs=programs, settings=FAST.settings))
    cluster.start()
    try:
        with pytest.raises(LaunchProblem, match="has no pgvector: install it there"):
            check(cluster.url())
    finally:
        cluster.stop()


def test_data_goes_outside_a_checkout_that_the_servers_user_cannot_enter(open_folder: Path) -> None:
    checkout, outside = open_folder / "checkout", open_folder / "state"
    checkout.mkdir(mode=0o700)
    outside.mkdir()
    folder = cluster_folder(checkout / ".local", [Path("/dev/null"), outside])
    is_ours = server_identity() is None
    assert folder.is_relative_to(checkout if is_ours else outside)
    assert recorded_folder(checkout / ".local") == folder
    assert cluster_folder(checkout / ".local", [outside]) == folder


def test_a_half_made_cluster_is_made_anew(open_folder: Path) -> None:
    unfinished = open_folder / "cluster" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    cluster = cluster_in(open_folder)
    cluster.start()
    cluster.stop()
    assert not unfinished.exists()

"""A real Docker Engine for tests: the one that is there, or our own, whose networks nobody else sees.

Our own builds in this machine's network, to reach the package indexes, and runs containers in a network namespace of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_stack.problems import LaunchProblem

from tests.deploy.docker.guard import NAMESPACES, end_engine
from tests.deploy.docker.packages import REPOSITORY, base_image, engine_environment, engine_programs, run
from tests.support.waiting import eventually_blocking

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
BASE, PLAIN_BASE = "localhost/ssa-python-base:3.13", "localhost/ssa-python-base-plain:3.13"
# Seconds on an idle machine: about 3 and 10.
STARTS_WITHIN_S, STOPS_WITHIN_S = 180.0, 300.0
DISK_BYTES = 64 * 2**30  # sparse: it takes what is written, about 5 GB
MADE = "0.1.0"
SUBNETS = ("--bip", "10.190.0.1/24", "--default-address-pool", "base=10.191.0.0/16,size=24")


class Engine:
    """Commands run as `docker …` would; `inside` runs one where published ports are reached."""

    def __init__(self, program: str, environment: dict[str, str], namespace: str = "") -> None:
        self._program = program
        self._environment = environment
        self._namespace = namespace

    def docker(self, *arguments: str, **environment: str) -> str:
        return run(self._program, *arguments, env=self._environment | environment, cwd=REPOSITORY)

    def shell(self, command: str, **environment: str) -> str:
        """A line as it is typed, with this engine's `docker`."""
        path = f"{Path(self._program).parent}{os.pathsep}{os.environ['PATH']}"
        return run("sh", "-c", command, env=self._environment | environment | {"PATH": path}, cwd=REPOSITORY)

    def started(self, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        pipe = subprocess.PIPE
        environ = self._environment | environment
        return subprocess.Popen(
            [self._program, *arguments], env=environ, cwd=REPOSITORY, stdin=pipe, stdout=pipe, stderr=pipe
        )

    def inside(self, *command: str) -> str:
        prefix = ("nsenter", f"--net={NAMESPACES / self._namespace}") if self._namespace else ()
        return run(*prefix, *command)


class OwnEngine:
    """The daemon over one data folder, in the machine's network or in its own. A guard ends it, should we be killed."""

    def __init__(self) -> None:
        self._root = engine_programs()
        self._folder = folder = Path(tempfile.mkdtemp(prefix="ssa-docker-"))
        self._namespace = f"ssa{os.getpid()}"
        self._daemon: subprocess.Popen[bytes] | None = None
        guard = (sys.executable, "-m", "tests.deploy.docker.guard", str(folder), self._namespace)
        self._guard = subprocess.Popen(
            guard, cwd=REPOSITORY, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        self.disk = new_disk(folder)
        plugins = folder / "config/cli-plugins"
        plugins.mkdir(parents=True)
        for plugin in (self._root / "usr/libexec/docker/cli-plugins").iterdir():
            (plugins / plugin.name).symlink_to(plugin)
        self._client = os.environ | {
            "DOCKER_HOST": f"unix://{folder / 'docker.sock'}",
            "DOCKER_CONFIG": str(folder / "config"),
            "DOCKER_BUILDKIT": "1",
        }

    def in_this_network(self) -> Engine:
        self._start([], "--bridge=none", "--iptables=false")
        return self._engine("")

    def in_its_own_network(self) -> Engine:
        if not (NAMESPACES / self._namespace).exists():
            run("ip", "netns", "add", self._namespace)
        enter = ["nsenter", f"--net={NAMESPACES / self._namespace}"]
        run(*enter, "ip", "link", "set", "lo", "up")
        self._start(enter, *SUBNETS)
        return self._engine(self._namespace)

    def _engine(self, namespace: str) -> Engine:
        engine = Engine(str(self._root / "usr/bin/docker"), self._client, namespace)

        def answers() -> bool:
            if self._daemon is None or self._daemon.poll() is not None:
                raise LaunchProblem(f"dockerd ended: {self._log.read_text()[-2000:]}")
            try:
                engine.docker("version")
            except LaunchProblem:
                return False
            return True

        eventually_blocking(answers, within_s=STARTS_WITHIN_S, every_s=0.3)
        return engine

    @property
    def _log(self) -> Path:
        return self._folder / "dockerd.log"

    def _start(self, prefix: list[str], *options: str) -> None:
        self.stop()
        command = [
            *prefix,
            "dockerd",
            "--data-root",
            str(self.disk / "data"),
            "--exec-root",
            str(self._folder / "exec"),
        ]
        command += ["-p", str(self._folder / "docker.pid"), "-H", self._client["DOCKER_HOST"], *options]
        with self._log.open("ab") as log:
            self._daemon = subprocess.Popen(
                command,
                env=engine_environment(self._root),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ends the daemon, and with it containerd and every container."""
        if self._daemon is not None:
            end_engine(self._folder)
            self._daemon.wait(timeout=STOPS_WITHIN_S)
            self._daemon = None

    def close(self) -> None:
        """Leaves nothing of it. Raises LaunchProblem."""
        try:
            _, words = self._guard.communicate(timeout=STOPS_WITHIN_S)
        finally:
            if self._daemon is not None:
                self._daemon.wait(timeout=STOPS_WITHIN_S)
        if self._guard.returncode != 0:
            raise LaunchProblem(words.decode())


def new_disk(folder: Path) -> Path:
    """A file system in one file: it is deleted at once, where a million small files can take minutes."""
    file, disk = folder / "disk.img", folder / "disk"
    disk.mkdir()
    with file.open("wb") as sparse:
        sparse.truncate(DISK_BYTES)
    try:
        run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "nodiscard", str(file))
        run("mount", "-o", "loop", str(file), str(disk))
    except LaunchProblem:  # no loop devices here: then it is a folder
        file.unlink()
    return disk


def running_engine() -> Engine | None:
    """The engine of this machine, if one answers."""
    program = shutil.which("docker")
    if program is None:
        return None
    engine = Engine(program, dict(os.environ))
    try:
        engine.docker("info")
        engine.docker("compose", "version")
    except LaunchProblem:
        return None
    return engine


def build(engine: Engine, **environment: str) -> None:
    """All images of docker-compose.yml; and, from the cache, those of the services as for a registry, with a tag of their own."""
    engine.docker("compose", "build", "--quiet", **environment)
    network = (os.environ | environment).get("BUILD_NETWORK", "default")
    engine.shell(
        f"make --silent images BUILDER=docker IMAGE_TAG={MADE} BUILD_ARGS='--quiet --network {network}'", **environment
    )


@contextmanager
def engine_with_images() -> Iterator[tuple[Engine, dict[str, str]]]:
    """An engine that holds the built images, and the variables for docker compose. Raises LaunchProblem."""
    variables = {"IMAGE_PREFIX": "ssa-test", "COMPOSE_PROJECT_NAME": f"ssa-test-{os.getpid()}"}
    found = running_engine()
    if found is not None:
        build(found, **variables)
        yield found, variables
        return
    own = OwnEngine()
    try:
        engine = own.in_this_network()
        make_base(engine, own.disk)
        variables |= {"BASE_IMAGE": BASE, "BUILD_NETWORK": "host"}
        build(engine, **variables)
        yield own.in_its_own_network(), variables
    finally:
        own.close()


def make_base(engine: Engine, scratch: Path) -> None:
    """The base image, with this machine's certificates: the package indexes may stand behind an authority of its own."""
    change = f"ENV SSL_CERT_FILE={CERTIFICATES}"
    engine.docker("import", "--change", change, str(base_image(scratch)), PLAIN_BASE)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(CERTIFICATES, folder)
        (Path(folder) / "Containerfile").write_text(f"FROM {PLAIN_BASE}\nCOPY {CERTIFICATES.name} {CERTIFICATES}\n")
        engine.docker("build", "-q", "-f", f"{folder}/Containerfile", "-t", BASE, folder)

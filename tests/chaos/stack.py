"""The product under fire: real services in two replicas behind a balancer, a real database, everything else a process of ours.

Call everything here from the main thread: children end with the thread that started them."""

import json
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psutil
import yaml
from local_stack.ports import free_port
from local_stack.postgres import ClusterOptions, PostgresCluster
from local_stack.programs import Child, Program, answers_ok, run_once, wait_until_ready
from local_stack.settings import inherited_environment
from local_stack.state import Secrets
from local_stack.wiring import AGENTS_FOLDER, BROKER_PATH, BrokerChoice, ModelChoice, Ports, Wiring
from shared_models.enums import ServiceName
from shared_models.tokens import ServiceTokens

from tests.chaos.bouncer import bouncer
from tests.chaos.lines import Lines
from tests.load.fake_responses import MODEL

# Processes die, the machine does not: what was written to a file stays. What is committed must be in the file.
DATABASE = {"fsync": "off", "max_connections": "300"}
READY_TIMEOUT_S = 300.0
STOP_WITHIN_S = 60.0
REPLICAS = 2
LIMITS = {"REQUESTS_PER_MINUTE": "100000", "WAITING_REQUESTS": "20000"}
MODEL_CALL_S, TURN_S = 4, 15
SERVICES = ("request-manager", "agent-service", "integration-dispatcher")
TOOLS, BROKER = "ServiceNow MCP", "broker"
DIRECT, EVENTING = MODES = ("direct", "eventing")
HARNESS = "harness"


@dataclass
class Slot:
    """A process that is started again whenever it has ended. `starts` counts, so that each life has a log of its own."""

    program: Program
    child: Child
    starts: int = 1


@dataclass
class Stack:
    folder: Path
    mode: str
    wiring: Wiring
    cluster: PostgresCluster
    kills: Lines
    slots: dict[str, Slot] = field(default_factory=dict)
    around: list[Child] = field(default_factory=list)
    bouncer_url: str = ""
    killed: int = 0
    held: set[str] = field(default_factory=set)

    @property
    def faults(self) -> Path:
        return self.folder / "faults"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.wiring.ports.request_manager}"

    @property
    def database_url(self) -> str:
        return self.cluster.url()

    def start_slot(self, name: str, program: Program) -> None:
        self.slots[name] = Slot(program, Child(program, self.folder / "logs" / f"{name}.1.log"))

    def tick(self) -> list[str]:
        """Start again what has ended. Returns the names."""
        ended = [name for name, slot in self.slots.items() if slot.child.process.poll() is not None]
        for name in ended:
            if name in self.held:
                continue
            slot = self.slots[name]
            slot.starts += 1
            slot.child = Child(slot.program, self.folder / "logs" / f"{name}.{slot.starts}.log")
        return ended

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """A process that has already ended is no death of ours, and excuses nothing."""
        process = self.slots[name].child.process
        if process.poll() is not None:
            return
        self.kills.add(name=name, signal=how.name, at=time.time())
        process.send_signal(how)
        self.killed += how is signal.SIGKILL

    def kill_database(self, how: signal.Signals, away_s: float = 0.0) -> None:
        """`how`: SIGQUIT (immediate shutdown) or SIGKILL of the postmaster; then it is started again at the same port."""
        self.kills.add(name="postgres", signal=how.name, at=time.time())
        psutil.Process(self.cluster.server_pid).send_signal(how)
        self.killed += 1
        self.cluster.stop()
        time.sleep(away_s)
        self.cluster.start()

    @property
    def down(self) -> list[str]:
        """Names of processes that do not listen: they bind their port when they are ready."""
        return [name for name, slot in self.slots.items() if not _listens(slot.program.port)]

    def wait_until_ready(self) -> float:
        """Every process, started again if need be. Returns the seconds it took."""
        began_s = time.monotonic()
        while True:
            self.tick()
            waiting = [name for name, slot in self.slots.items() if name not in self.held and not _is_ready(slot.child)]
            if not waiting:
                return time.monotonic() - began_s
            if time.monotonic() - began_s > READY_TIMEOUT_S:
                raise TimeoutError(f"not ready after {READY_TIMEOUT_S:.0f} s: {', '.join(waiting)}")
            time.sleep(0.05)

    def hold(self, names: Iterable[str]) -> None:
        """Stop them by SIGTERM, at once, and do not start them again until `resume`."""
        chosen = list(names)
        self.held |= set(chosen)
        running = [name for name in chosen if self.slots[name].child.process.poll() is None]
        for name in running:
            self.slots[name].child.process.terminate()
        for name in running:
            child = self.slots[name].child
            child.stop(grace_s=STOP_WITHIN_S)
            if child.process.returncode == -signal.SIGKILL:  # in the end it had to be killed: a logged death as well
                self.kills.add(name=name, signal=signal.SIGKILL.name, at=time.time())

    def resume(self) -> None:
        self.held.clear()
        self.tick()

    def arm(self, point: str, **fault: object) -> None:
        """What a fault point is to do, see `Fault`; unless it is armed already. A process never reads half of it."""
        file = self.faults / point
        if not file.exists():
            fresh = file.with_name(f"{point}.new")
            fresh.write_text(json.dumps(fault))
            fresh.rename(file)

    def replicas(self, service: str) -> list[str]:
        return [name for name in self.slots if name.rpartition(".")[0] == service]

    def stop(self) -> None:
        self.hold(self.slots)
        for child in reversed(self.around):
            child.stop()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def _is_ready(child: Child) -> bool:
    return child.process.poll() is None and answers_ok(child.program.port, child.program.ready_path)


@contextmanager
def running_stack(folder: Path, mode: str, *, seed: int, is_pooled: bool = False) -> Iterator[Stack]:
    """Everything, ready. `folder` gets the logs and what the sinks have seen; the database is gone afterwards.

    `is_pooled`: the services reach the database through pgbouncer. Raises NoBouncer."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "logs").mkdir(parents=True)
    (folder / "faults").mkdir()
    home = Path(tempfile.mkdtemp(prefix="ssa-chaos-"))
    home.chmod(0o755)
    options = ClusterOptions(port=free_port(), settings=tuple(DATABASE.items()))
    cluster = PostgresCluster(home / "cluster", log=folder / "logs" / "postgres.log", options=options)
    stack: Stack | None = None
    try:
        cluster.start()
        stack = _wired(folder, mode, cluster)
        if is_pooled:
            program, stack.bouncer_url = bouncer(home, cluster.url())
            stack.around.append(Child(program, folder / "logs" / f"{HARNESS}-pgbouncer.log"))
        _start(stack, seed)
        yield stack
    finally:
        if stack is not None:
            stack.stop()
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)


def _wired(folder: Path, mode: str, cluster: PostgresCluster) -> Stack:
    model = ModelChoice(f"http://127.0.0.1:{free_port()}", MODEL, None)
    ports = Ports.free()
    broker = BrokerChoice(f"http://127.0.0.1:{ports.broker}{BROKER_PATH}", is_ours=True) if mode == EVENTING else None
    wiring = Wiring(ports, Secrets.generate(), model, folder, cluster.url(), broker)
    migrate = [sys.executable, "-m", "shared_models.migrate"]
    if run_once(migrate, env=wiring.database_tools(), log=folder / "logs" / "migrate.log") != 0:
        raise RuntimeError(f"the migrations failed, see {folder}/logs/migrate.log")
    return Stack(folder, mode, wiring, cluster, Lines(folder / "kills.jsonl"))


def _start(stack: Stack, seed: int) -> None:
    folder, wiring = stack.folder, stack.wiring
    model_port = int(wiring.model.url.rpartition(":")[2])
    model = ["--leaks", str(folder / "leaks.jsonl")]
    sink_port = free_port()
    sink = ["--file", str(folder / "webhook.jsonl"), "--seed", str(seed)]
    around = [
        wiring.demo_rules(),
        wiring.servicenow(),
        _harness("model", model_port, *model, ready_path="/v1/health"),
        _harness("sink", sink_port, *sink),
    ]
    (folder / "sink_port").write_text(str(sink_port))
    children = [Child(program, folder / "logs" / f"{HARNESS}-{program.name}.log") for program in around]
    stack.around += children
    wait_until_ready(children, timeout_s=READY_TIMEOUT_S)
    stack.start_slot(TOOLS, _armed(stack, wiring.servicenow_mcp()))
    if wiring.has_own_broker:
        broker = _armed(stack, wiring.local_broker())
        stack.start_slot(BROKER, replace(broker, env={**broker.env, "BROKER_CONTROL": "true"}))
    routes = {program.port: [free_port() for _ in range(REPLICAS)] for program in wiring.services()}
    _start_balancer(stack, routes)
    for program in wiring.services():
        for number, port in enumerate(routes[program.port], start=1):
            stack.start_slot(f"{program.name}.{number}", _replica(stack, program, port))
    stack.wait_until_ready()


def _start_balancer(stack: Stack, routes: dict[int, list[int]]) -> None:
    command = [sys.executable, "-m", "tests.chaos.balancer"]
    command += [f"{port}={','.join(map(str, backends))}" for port, backends in routes.items()]
    program = Program("balancer", command, inherited_environment(), stack.wiring.ports.request_manager)
    stack.around.append(Child(program, stack.folder / "logs" / f"{HARNESS}-balancer.log"))


def _harness(module: str, port: int, *arguments: str, ready_path: str = "/readyz") -> Program:
    command = [sys.executable, "-m", f"tests.chaos.{module}", "--port", str(port), *arguments]
    return Program(module, command, inherited_environment(), port, ready_path)


def _armed(stack: Stack, program: Program) -> Program:
    return replace(program, env={**program.env, "FAULTS_DIR": str(stack.faults)})


def _replica(stack: Stack, program: Program, port: int) -> Program:
    own = {"PORT": str(port), "METRICS_PORT": "0", "AGENTS_DIR": str(_hasty_agents(stack.folder))}
    armed = _armed(stack, program)
    if stack.bouncer_url:
        own |= {"DATABASE_URL": stack.bouncer_url, "DATABASE_LISTEN_URL": stack.database_url}
        own |= {"DATABASE_STATEMENT_CACHE": "0"}
    return replace(armed, env={**armed.env, **LIMITS, **own}, port=port)


def _hasty_agents(folder: Path) -> Path:
    """The product's agents with limits of seconds: a model that hangs is given up within the run."""
    target = folder / "agents"
    if not target.exists():
        target.mkdir()
        for file in AGENTS_FOLDER.glob("*.yaml"):
            agent = yaml.safe_load(file.read_text())
            agent["limits"] = {**agent.get("limits", {}), "model_call_s": MODEL_CALL_S, "turn_s": TURN_S}
            (target / file.name).write_text(yaml.safe_dump(agent, sort_keys=False))
    return target


def sink_url(stack: Stack, canary: str) -> str:
    return f"http://127.0.0.1:{(stack.folder / 'sink_port').read_text()}/hook/{canary}"


def set_model_latency(stack: Stack, latency_ms: int) -> None:
    httpx.post(f"{stack.wiring.model.url}/control?latency_ms={latency_ms}", timeout=10).raise_for_status()


def set_broker_knobs(stack: Stack, **knobs: float) -> None:
    """See local_stack.broker.knobs; a broker that is started again has none."""
    tokens = ServiceTokens(stack.wiring.secrets.service_token_key, ServiceName.REQUEST_MANAGER)
    headers = {"authorization": f"Bearer {tokens.make(ServiceName.BROKER)}"}
    url = f"http://127.0.0.1:{stack.wiring.ports.broker}/control"
    httpx.put(url, json=knobs, headers=headers, timeout=10).raise_for_status()

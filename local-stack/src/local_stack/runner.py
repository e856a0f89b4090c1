"""`local_stack up`: start everything in order, watch it, and end everything again, whatever happens."""

import shutil
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from shared_models.schema_version import is_up_to_date

from local_stack import model_server
from local_stack.access import Bootstrap, ensure_access
from local_stack.external_database import external_url
from local_stack.farewell import farewell
from local_stack.model_server import Kind
from local_stack.postgres import PostgresCluster
from local_stack.postgres_folder import embedded_cluster
from local_stack.problems import LaunchProblem
from local_stack.processes import last_lines
from local_stack.programs import Child, Program, output_of, run_once
from local_stack.screen import Screen
from local_stack.settings import UpSettings, inherited_environment
from local_stack.stand_ins import StandIns
from local_stack.state import RunFile, load_secrets, take_run_lock
from local_stack.stopping import StopRequested, StopSignals
from local_stack.wiring import Ports, Wiring, check_ports, choose_broker, choose_model

READY_TIMEOUT_S = 300.0
POLL_S = 0.05
WATCH_S = 0.2
DATABASE_STEP, MIGRATIONS_STEP, INSTALL_STEP = "PostgreSQL", "migrations", "installation of OGX"


@dataclass(frozen=True)
class UpOptions:
    """`free_ports` lets suites run side by side; `services_only` leaves the model server out, to measure the rest."""

    state_dir: Path
    free_ports: bool = False
    services_only: bool = False


class Runner:
    """One run. `run` returns the exit code and leaves no process behind."""

    def __init__(self, options: UpOptions, settings: UpSettings, screen: Screen) -> None:
        self._folder = options.state_dir
        self._options = options
        self._settings = settings
        self._screen = screen
        self._signals = StopSignals()
        self._run_file = RunFile(self._folder)
        self._children: list[Child] = []
        self._starting: list[Child] = []
        self._killable: frozenset[str] = frozenset()
        self._cluster: PostgresCluster | None = None
        self._began_s = time.monotonic()

    def run(self) -> int:
        """Returns 0 after a stop that somebody asked for, 1 after a problem, which is shown."""
        try:
            with take_run_lock(self._folder):
                return self._run_locked()
        except LaunchProblem as problem:
            self._screen.problem(str(problem))
            return 1

    def _run_locked(self) -> int:
        shutil.rmtree(self._folder / "logs", ignore_errors=True)
        try:
            self._start()
            while True:
                self._pause(WATCH_S)
        except StopRequested:
            self._screen.end_steps()
            self._screen.line("Ending everything")
            return 0
        except LaunchProblem as problem:
            self._screen.problem(str(problem))
            return 1
        finally:
            self._stop()

    def _start(self) -> None:
        """Everything up to the printed curl line. Raises LaunchProblem, StopRequested."""
        if ended := self._run_file.end_leftovers():
            self._screen.line(f"Ended what an earlier run left: {', '.join(ended)}")
        wiring = self._prepare()
        demo_rules, *model_servers = self._launch_model(wiring)
        others = [demo_rules, self._launch(wiring.servicenow()), self._launch(wiring.servicenow_mcp())]
        wiring = replace(wiring, database_url=wiring.database_url or self._start_postgres())
        self._migrate(wiring)
        if wiring.has_own_broker:
            others.append(self._launch(wiring.local_broker()))
        others += [self._launch(program) for program in (wiring.integration_dispatcher(), wiring.request_manager())]
        # agent-service calls all that is around it once while it starts, so that the first person does not wait. It has
        # some seconds of patience, but a model server needs more.
        self._wait(model_servers)
        agent_service = self._launch(wiring.agent_service())
        self._wait(others)
        bootstrap = Bootstrap(
            wiring.ports.request_manager, wiring.database_tools(), self._log("bootstrap"), self._pause
        )
        access = ensure_access(self._folder, bootstrap)  # while agent-service, the slowest, goes on starting
        self._wait([agent_service])
        self._screen.end_steps()
        durable = [*wiring.services(), *([wiring.local_broker()] if wiring.has_own_broker else [])]
        self._killable = frozenset(program.name for program in durable)
        ready_s = self._seconds()
        self._launch_integrations(wiring)
        self._screen.line(farewell(wiring, access, ready_s=ready_s))

    def _prepare(self) -> Wiring:
        """What can be found wrong before anything is started. The URL of an embedded database is not known yet."""
        ports = Ports.free() if self._options.free_ports else Ports.of(self._settings)
        model = choose_model(self._settings, ports)
        url = external_url(self._settings, inherited_environment())
        if url:
            self._check_database(url)
        broker = choose_broker(self._settings, ports)
        stand_ins = StandIns.of(self._settings)
        wiring = Wiring(ports, load_secrets(self._folder), model, self._folder, url or "", broker, stand_ins)
        is_used = {"ogx": self._has_model_server(wiring), "broker": wiring.has_own_broker, "slack": stand_ins.slack}
        is_used["phones"] = stand_ins.phones
        is_used |= dict.fromkeys(("mail", "mail_smtp", "mail_imap"), stand_ins.mail)
        check_ports(ports, unused=[name for name, used in is_used.items() if not used])
        return wiring

    def _check_database(self, url: str) -> None:
        command = [sys.executable, "-m", "local_stack.database_check"]
        env = inherited_environment() | {"DATABASE_URL": url}
        if problem := output_of(command, env=env, log=self._log("database-check"), pause=self._signals.pause):
            raise LaunchProblem(problem.strip())

    def _has_model_server(self, wiring: Wiring) -> bool:
        return wiring.model.upstream is not None and not self._options.services_only

    def _launch_model(self, wiring: Wiring) -> list[Child]:
        """demo-rules first: the slow OGX asks its model's name while it starts."""
        children = [self._launch(wiring.demo_rules())]
        if not self._has_model_server(wiring):
            return children
        if not model_server.is_installed(Kind.OGX):
            began_s = time.monotonic()
            self._screen.begin(INSTALL_STEP)
            model_server.install(Kind.OGX, log=self._log("ogx-install"), pause=self._pause)
            self._screen.done(INSTALL_STEP, time.monotonic() - began_s)
        return [*children, self._launch(wiring.ogx())]

    def _start_postgres(self) -> str:
        """Returns the URL."""
        began_s = time.monotonic()
        self._screen.begin(DATABASE_STEP)
        self._cluster = embedded_cluster(self._folder, self._settings, self._signals.pause)
        self._cluster.start()
        self._screen.done(DATABASE_STEP, time.monotonic() - began_s)
        return self._cluster.url()

    def _migrate(self, wiring: Wiring) -> None:
        began_s = time.monotonic()
        self._screen.begin(MIGRATIONS_STEP)
        if not is_up_to_date(wiring.database_url):  # a second of imports that most starts can do without
            log = self._log("migrations")
            command = [sys.executable, "-m", "shared_models.migrate"]
            if run_once(command, env=wiring.database_tools(), log=log, pause=self._pause) != 0:
                raise LaunchProblem(f"The migrations failed: {' '.join(last_lines(log, 1))} (log: {log})")
        self._screen.done(MIGRATIONS_STEP, time.monotonic() - began_s)

    def _launch(self, program: Program) -> Child:
        self._screen.begin(program.name)
        child = Child(program, self._log(program.name))
        self._children.append(child)
        self._starting.append(child)
        self._run_file.add(child.record)
        return child

    def _launch_integrations(self, wiring: Wiring) -> None:
        """Last and without waiting: the product is ready without them, and they are there before a person has read on."""
        for program in wiring.integrations():
            child = Child(program, self._log(program.name))
            self._children.append(child)
            self._run_file.add(child.record)

    def _start_again(self, child: Child) -> Child:
        """A service or broker that somebody has killed, to see that nothing is lost by it. What ends by itself ends the stack."""
        self._screen.line(f"{child.name} was killed: starting it again")
        again = Child(child.program, child.log, is_again=True)
        self._starting = [each for each in self._starting if each is not child] + [again]
        self._run_file.add(again.record)
        return again

    def _wait(self, children: list[Child]) -> None:
        """Returns when these are ready; shows any other that gets ready meanwhile. Raises LaunchProblem, StopRequested."""
        give_up_at = time.monotonic() + READY_TIMEOUT_S
        while waiting := [child.name for child in children if child in self._starting]:
            if time.monotonic() > give_up_at:
                raise LaunchProblem(
                    f"Not ready after {READY_TIMEOUT_S:.0f} s: {', '.join(waiting)} (see {self._folder / 'logs'})"
                )
            self._pause(POLL_S)

    def _pause(self, seconds: float) -> None:
        """Sleep, and look at all. Raises StopRequested when asked to stop, LaunchProblem when something has died."""
        self._signals.pause(seconds)
        for place, child in enumerate(self._children):
            # One look: what is killed between two would be taken for something that has ended by itself.
            if child.process.poll() == -signal.SIGKILL and child.name in self._killable:
                self._children[place] = self._start_again(child)
            elif child.process.returncode is not None:
                child.check_alive()
        if self._cluster is not None and not self._cluster.is_running():
            raise LaunchProblem(f"PostgreSQL has ended; log: {self._log('postgres')}")
        for child in [child for child in self._starting if child.is_ready()]:
            self._starting.remove(child)
            self._screen.done(child.name, time.monotonic() - child.started_s)

    def _stop(self) -> None:
        """End all in reverse order, the database last."""
        for child in reversed(self._children):
            child.stop()
        if self._cluster is not None:
            self._cluster.stop()
        self._run_file.remove()

    def _log(self, name: str) -> Path:
        return self._folder / "logs" / f"{name.lower().replace(' ', '-')}.log"

    def _seconds(self) -> float:
        return time.monotonic() - self._began_s


def run_postgres(state_dir: Path, settings: UpSettings, screen: Screen) -> int:
    """Only the database, until somebody asks to stop. Raises LaunchProblem."""
    signals = StopSignals()
    with take_run_lock(state_dir):
        cluster = embedded_cluster(state_dir, settings, signals.pause)
        try:
            cluster.start()
            screen.line(f"DATABASE_URL={cluster.url()}")
            while cluster.is_running():
                signals.pause(WATCH_S)
        except StopRequested:
            return 0
        finally:
            cluster.stop()
    raise LaunchProblem(f"PostgreSQL has ended; log: {cluster.log}")

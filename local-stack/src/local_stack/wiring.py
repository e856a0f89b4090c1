"""Who talks to whom: the command and environment of every program of the stack, from ports, secrets and settings."""

import json
import sys
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

from local_stack import model_server
from local_stack.mail import wiring as mail_wiring
from local_stack.mail.wiring import MailPlace
from local_stack.model_server import Kind, Upstream
from local_stack.ports import check_free, free_port
from local_stack.problems import LaunchProblem
from local_stack.programs import Program
from local_stack.servicenow.catalogue import shipped_catalogue
from local_stack.settings import METRICS_OFFSET, REPOSITORY, UpSettings, inherited_environment
from local_stack.sms import wiring as sms_wiring
from local_stack.stand_ins import StandIns
from local_stack.state import Secrets

DEMO_MODEL = "demo-rules"
EMBEDDINGS_MODEL = "use-multilingual-v3"
AGENTS_FOLDER = REPOSITORY / "agent-service" / "agents"
BROKER_PATH = "/default/self-service-agent"
KNOWLEDGE_FOLDER = REPOSITORY / "agent-service" / "knowledge"


@dataclass(frozen=True)
class Ports:
    """Ports of 127.0.0.1. Each field `name` can be set with the variable NAME_PORT."""

    request_manager: int
    agent_service: int
    integration_dispatcher: int
    servicenow_mcp: int
    broker: int
    demo_rules: int
    servicenow: int
    slack: int
    phones: int
    mail: int
    mail_smtp: int
    mail_imap: int
    ogx: int
    request_manager_metrics: int
    agent_service_metrics: int
    integration_dispatcher_metrics: int

    @classmethod
    def of(cls, settings: UpSettings) -> "Ports":
        return cls(
            request_manager=settings.request_manager_port,
            agent_service=settings.agent_service_port,
            integration_dispatcher=settings.integration_dispatcher_port,
            servicenow_mcp=settings.servicenow_mcp_port,
            broker=settings.broker_port,
            demo_rules=settings.demo_rules_port,
            servicenow=settings.servicenow_port,
            slack=settings.slack_port,
            phones=settings.phones_port,
            mail=settings.mail_port,
            mail_smtp=settings.mail_smtp_port,
            mail_imap=settings.mail_imap_port,
            ogx=settings.ogx_port,
            request_manager_metrics=settings.request_manager_port + METRICS_OFFSET,
            agent_service_metrics=settings.agent_service_port + METRICS_OFFSET,
            integration_dispatcher_metrics=settings.integration_dispatcher_port + METRICS_OFFSET,
        )

    @classmethod
    def free(cls) -> "Ports":
        return cls(*(free_port() for _ in fields(cls)))


@dataclass(frozen=True)
class ModelChoice:
    """The model server at `url` (without /v1) and the model to ask for; `upstream` is what OGX stands in front of."""

    url: str
    model: str
    upstream: Upstream | None


def choose_model(settings: UpSettings, ports: Ports) -> ModelChoice:
    """LLAMA_STACK_URL, else LLM_URL behind our OGX, else demo-rules behind it. Raises LaunchProblem for half a choice."""
    if settings.llama_stack_url:
        if not settings.llama_stack_model:
            raise LaunchProblem(
                "LLAMA_STACK_URL is set, but no model: set LLAMA_STACK_MODEL to one that this server lists"
            )
        return ModelChoice(settings.llama_stack_url.rstrip("/").removesuffix("/v1"), settings.llama_stack_model, None)
    if settings.llm_url:
        if not settings.llm_model:
            raise LaunchProblem("LLM_URL is set, but no model: set LLM_MODEL to the model's name at this address")
        upstream = Upstream(settings.llm_url, settings.llm_model, settings.llm_api_key.get_secret_value())
    else:
        upstream = Upstream(f"http://127.0.0.1:{ports.demo_rules}/v1", DEMO_MODEL)
    return ModelChoice(f"http://127.0.0.1:{ports.ogx}", f"llm/{upstream.model}", upstream)


@dataclass(frozen=True)
class BrokerChoice:
    """The broker that events are sent to, by its ingress `url`; `is_ours`: it is the local one, part of the stack."""

    url: str
    is_ours: bool


def own_broker(ports: Ports) -> BrokerChoice:
    return BrokerChoice(f"http://127.0.0.1:{ports.broker}{BROKER_PATH}", is_ours=True)


def choose_broker(settings: UpSettings, ports: Ports) -> BrokerChoice | None:
    """With EVENTING_ENABLED=true BROKER_URL, else the local broker; None: direct HTTP. Raises LaunchProblem for no URL."""
    if not settings.eventing_enabled:
        return None
    if not settings.broker_url:
        return own_broker(ports)
    address = urlsplit(settings.broker_url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise LaunchProblem(
            "BROKER_URL is no http address: set it to the broker's ingress, http://host/namespace/broker, "
            "or unset it to use the local broker"
        )
    return BrokerChoice(settings.broker_url, is_ours=False)


@dataclass(frozen=True)
class Wiring:
    """The programs of one run. Methods build them; nothing is started here. `broker` None: direct HTTP.

    `stand_ins`: those of the integrations' other sides that this run starts."""

    ports: Ports
    secrets: Secrets
    model: ModelChoice
    state_dir: Path
    database_url: str
    broker: BrokerChoice | None = None
    stand_ins: StandIns = field(default_factory=StandIns)

    def demo_rules(self) -> Program:
        """The stand-in model; also the embeddings, whatever model answers."""
        return self._python("demo-rules", "local_stack.demo_rules", self.ports.demo_rules)

    def servicenow(self) -> Program:
        folder = str(self.state_dir / "servicenow")
        env = {"SERVICENOW_STANDIN_API_KEY": self.secrets.servicenow_api_key}
        return self._python(
            "ServiceNow stand-in", "local_stack.servicenow", self.ports.servicenow, env, "--state-dir", folder
        )

    def ogx(self) -> Program:
        """Only where the model has an upstream, see `choose_model`."""
        if self.model.upstream is None:
            raise LaunchProblem("LLAMA_STACK_URL is set: no model server of our own")
        return model_server.program(Kind.OGX, self.model.upstream, self.state_dir / "model-server", self.ports.ogx)

    def database_tools(self) -> dict[str, str]:
        """The environment of the programs that prepare the database: migrations and the bootstrap of the demo people."""
        return self._environment(self._service("request_manager"))

    def servicenow_mcp(self) -> Program:
        env = {
            "SERVICENOW_INSTANCE_URL": f"http://127.0.0.1:{self.ports.servicenow}",
            "SERVICENOW_AUTH_TYPE": "api_key",
            "SERVICENOW_API_KEY": self.secrets.servicenow_api_key,
            "SERVICENOW_LAPTOP_REFRESH_ID": shipped_catalogue().item.sys_id,
            "IDENTITY_PUBLIC_KEY": self.secrets.identity_public_key,
        }
        return self._python("ServiceNow MCP", "servicenow_mcp", self.ports.servicenow_mcp, env)

    @property
    def has_own_broker(self) -> bool:
        return self.broker is not None and self.broker.is_ours

    def local_broker(self) -> Program:
        """The stand-in for Knative's broker; only with eventing, and where BROKER_URL names no other."""
        if not self.has_own_broker:
            raise LaunchProblem("Direct HTTP, or another broker at BROKER_URL: no broker of our own")
        env = {"SERVICE_TOKEN_KEY": self.secrets.service_token_key} | self._neighbours()
        return self._python("broker", "local_stack.broker", self.ports.broker, env)

    def request_manager(self) -> Program:
        return self._python(
            "request-manager", "request_manager", self.ports.request_manager, self._service("request_manager")
        )

    def agent_service(self) -> Program:
        env = self._service("agent_service") | {
            "LLAMA_STACK_URL": self.model.url,
            "LLAMA_STACK_MODEL": self.model.model,
            "IDENTITY_SIGNING_KEY": self.secrets.identity_signing_key,
            "MCP_SERVERS": json.dumps({"servicenow": f"http://127.0.0.1:{self.ports.servicenow_mcp}/mcp"}),
            "EMBEDDINGS_URL": f"http://127.0.0.1:{self.ports.demo_rules}/v1",
            "EMBEDDINGS_MODEL": EMBEDDINGS_MODEL,
            "AGENTS_DIR": str(AGENTS_FOLDER),
            "KNOWLEDGE_DIR": str(KNOWLEDGE_FOLDER),
        }
        return self._python("agent-service", "agent_service", self.ports.agent_service, env)

    def integration_dispatcher(self) -> Program:
        env = self._service("integration_dispatcher") | {
            "SECRETS_KEY": self.secrets.secrets_key,
            "WEBHOOK_ALLOWED_HOSTS": "localhost",  # receivers on this machine, to try webhooks out
            "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
            "PUBLIC_URL": f"http://127.0.0.1:{self.ports.request_manager}",
            **(self._slack_app() if self.stand_ins.slack else {}),
            **(self._sms_account() if self.stand_ins.sms else {}),
            **(self._mail_account() if self.stand_ins.mail else {}),
        }
        return self._python("integration-dispatcher", "integration_dispatcher", self.ports.integration_dispatcher, env)

    def slack(self) -> Program:
        """A workspace in the browser; its app is our integration-dispatcher."""
        env = {
            "SLACK_STANDIN_SIGNING_SECRET": self.secrets.slack_signing_secret,
            "SLACK_STANDIN_BOT_TOKEN": self.secrets.slack_bot_token,
            "SLACK_STANDIN_APP_URL": f"http://127.0.0.1:{self.ports.integration_dispatcher}",
            "SLACK_STANDIN_PUBLIC_URL": f"http://127.0.0.1:{self.ports.slack}",
        }
        folder = str(self.state_dir / "slack")
        return self._python("Slack stand-in", "local_stack.slack", self.ports.slack, env, "--state-dir", folder)

    def _slack_app(self) -> dict[str, str]:
        return {
            "SLACK_SIGNING_SECRET": self.secrets.slack_signing_secret,
            "SLACK_BOT_TOKEN": self.secrets.slack_bot_token,
            "SLACK_API_URL": f"http://127.0.0.1:{self.ports.slack}/api/",
        }

    def phones(self) -> Program:
        """Phones that get SMS, and receivers of webhooks, in the browser."""
        env = sms_wiring.stand_in(self.secrets.sms_auth_token, self._neighbours()["INTEGRATION_DISPATCHER_URL"])
        folder = str(self.state_dir / "phones")
        return self._python("phones", "local_stack.sms", self.ports.phones, env, "--state-dir", folder)

    def _sms_account(self) -> dict[str, str]:
        here, dispatcher = f"http://127.0.0.1:{self.ports.phones}", self._neighbours()["INTEGRATION_DISPATCHER_URL"]
        return sms_wiring.account(self.secrets.sms_auth_token, here, dispatcher)

    def mail(self) -> Program:
        """A mail server with everybody's mailboxes, in the browser."""
        env, arguments = mail_wiring.stand_in(self._mail_place(), self.state_dir / "mail")
        return self._python("mail stand-in", "local_stack.mail", self.ports.mail, env, *arguments)

    def _mail_account(self) -> dict[str, str]:
        links_url = self._neighbours()["INTEGRATION_DISPATCHER_URL"]
        return {**mail_wiring.settings(self._mail_place()), "EMAIL_LINKS_URL": links_url}

    def _mail_place(self) -> MailPlace:
        return MailPlace(self.ports.mail_smtp, self.ports.mail_imap, self.secrets.mail_password)

    def integrations(self) -> list[Program]:
        """The other sides of the integrations that this run starts, for people to open in the browser."""
        slack = [self.slack()] if self.stand_ins.slack else []
        mail = [self.mail()] if self.stand_ins.mail else []
        return [*slack, *mail, *([self.phones()] if self.stand_ins.phones else [])]

    def services(self) -> list[Program]:
        return [self.integration_dispatcher(), self.agent_service(), self.request_manager()]

    def _service(self, name: str) -> dict[str, str]:
        """What the three services have in common, for the service of this package name."""
        return {
            "DATABASE_ROLE": f"ssa_{name}",
            "METRICS_PORT": str(getattr(self.ports, f"{name}_metrics")),
            "SERVICE_TOKEN_KEY": self.secrets.service_token_key,
            "EVENTING_ENABLED": "true" if self.broker else "false",
            "BROKER_URL": self.broker.url if self.broker else "",
            "EVENT_SINK_URL": "",
        } | self._neighbours()

    def _neighbours(self) -> dict[str, str]:
        return {
            "REQUEST_MANAGER_URL": f"http://127.0.0.1:{self.ports.request_manager}",
            "AGENT_SERVICE_URL": f"http://127.0.0.1:{self.ports.agent_service}",
            "INTEGRATION_DISPATCHER_URL": f"http://127.0.0.1:{self.ports.integration_dispatcher}",
        }

    def _python(self, name: str, module: str, port: int, env: dict[str, str] | None = None, *arguments: str) -> Program:
        """A program of this repository: its port is in the environment, and for the stand-ins an argument."""
        command = [sys.executable, "-m", module, *arguments]
        if module.startswith("local_stack."):
            command += ["--port", str(port)]
        return Program(name, command, self._environment({"PORT": str(port), **(env or {})}), port)

    def _environment(self, own: dict[str, str]) -> dict[str, str]:
        common = {"PROFILE": "local", "HOST": "127.0.0.1", "LOG_FORMAT": "json", "DATABASE_URL": self.database_url}
        return inherited_environment() | common | own


def check_ports(ports: Ports, unused: Collection[str] = ()) -> None:
    """Raises LaunchProblem for the first port that somebody else holds; `unused` are names of fields not to look at."""
    for each in fields(ports):
        service = each.name.removesuffix("_metrics")
        if service not in unused:
            name = service.replace("_", "-")
            what = name if service == each.name else f"metrics of {name}"
            check_free(getattr(ports, each.name), what, f"{service.upper()}_PORT")

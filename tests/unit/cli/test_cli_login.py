"""`ssa login`: device authorization at an issuer, and the login's life afterwards."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import keyring
import keyring.errors
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from self_service_cli.command import Surroundings
from self_service_cli.device_flow import Tokens
from self_service_cli.keyring_store import KeyringStore, SavedLogin
from typer.testing import Result

from tests.support.cli import SESSION_ID, URL, FakeLogins, FakeRequestManager, problem, reply, ssa
from tests.support.oidc import OidcIssuer

ME = "/api/v1/users/me"
NOW = 1_800_000_000.0


@dataclass
class World:
    """An issuer, a request-manager and a clock that moves when somebody sleeps. `during[n]` happens at the n-th pause."""

    issuer: OidcIssuer = field(init=False)
    api: FakeRequestManager = field(default_factory=FakeRequestManager)
    logins: FakeLogins = field(default_factory=FakeLogins)
    now: float = NOW
    issuer_hangs: bool = False
    pauses: list[float] = field(default_factory=list)
    during: list[Callable[[], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.issuer = OidcIssuer(now=lambda: self.now)
        user = {"user_id": str(SESSION_ID), "email": "ana@example.com", "name": "Ana", "role": "user"}
        self.api.on("GET", ME, self._signed_in(user))

    def _signed_in(self, user: dict[str, str]) -> Callable[[httpx.Request], httpx.Response]:
        def answer(request: httpx.Request) -> httpx.Response:
            return (
                reply(user) if request.headers["authorization"].count(".") == 2 else problem(401, "not_authenticated")
            )

        return answer

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        if self.during:
            self.during.pop(0)()

    def http(self) -> httpx.AsyncClient:
        async def any_token(request: httpx.Request) -> httpx.Response:
            self.api.token = request.headers.get("authorization", "").removeprefix("Bearer ")
            return await self.api(request)

        mounts = {"all://*.test": IssuerTransport(self)}
        return httpx.AsyncClient(transport=httpx.MockTransport(any_token), mounts=mounts)

    def run(self, *arguments: str, **env: str | None) -> Result:
        around = Surroundings(create_http=self.http, logins=self.logins, sleep=self.sleep, now=lambda: self.now)
        result = ssa(*arguments, api=self.api, surroundings=around, env={"SSA_TOKEN": None, **env})
        for login in self.logins.kept.values():
            assert login.token not in result.output
            assert not login.refresh_token or login.refresh_token not in result.output
        return result

    def login(self, *arguments: str, **env: str | None) -> Result:
        return self.run("login", "--issuer", self.issuer.url, *arguments, **env)


class IssuerTransport(httpx.AsyncBaseTransport):
    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._world.issuer_hangs:
            raise httpx.ReadTimeout("no answer")
        return await self._world.issuer.transport().handle_async_request(request)


@pytest.fixture
def world() -> World:
    return World()


def test_the_person_enters_the_code_elsewhere_and_is_signed_in(world: World) -> None:
    world.during = [lambda: None, lambda: world.issuer.approve(sub="ana")]
    result = world.login()
    assert (result.exit_code, result.stdout) == (0, "")
    code = next(iter(world.issuer.device_logins.values()))
    assert f"{world.issuer.url}/enter" in result.stderr
    assert code.user_code in result.stderr
    assert "Ana <ana@example.com>" in result.stderr
    assert world.pauses == [5, 5]
    kept = world.logins.kept[URL]
    assert kept.expires_at > world.now
    assert kept.refresh_token


def test_with_json_the_person_is_the_document(world: World) -> None:
    world.during = [world.issuer.approve]
    document = json.loads(world.login("--json").stdout)
    assert (document["url"], document["user"]["email"]) == (URL, "ana@example.com")


def test_it_asks_more_slowly_when_told_to(world: World) -> None:
    world.during = [lambda: world.issuer.slow_down(2), lambda: None, world.issuer.approve]
    assert world.login().exit_code == 0
    assert world.pauses == [5, 10, 15]


def test_a_poll_that_times_out_is_repeated_more_slowly(world: World) -> None:
    def hang() -> None:
        world.issuer_hangs = True

    def recover() -> None:
        world.issuer_hangs = False
        world.issuer.approve()

    world.during = [hang, recover]
    assert world.login().exit_code == 0
    assert world.pauses == [5, 10]


def test_an_issuer_that_is_down_for_a_moment_is_asked_again(world: World) -> None:
    def fail() -> None:
        world.issuer.is_down = True

    def recover() -> None:
        world.issuer.is_down = False
        world.issuer.approve()

    world.during = [fail, fail, recover]
    assert world.login().exit_code == 0
    assert world.pauses == [5, 10, 20]


def test_a_declined_sign_in_is_told(world: World) -> None:
    world.during = [lambda: world.issuer.refuse("access_denied")]
    result = world.login()
    assert (result.exit_code, world.logins.kept) == (4, {})
    assert "declined" in result.stderr


def test_a_code_that_expired_is_told(world: World) -> None:
    world.during = [lambda: world.issuer.refuse("expired_token")]
    result = world.login()
    assert result.exit_code == 6
    assert "expired" in result.stderr


def test_a_person_who_never_comes_is_not_waited_for_beyond_the_codes_life(world: World) -> None:
    assert world.login().exit_code == 6
    assert sum(world.pauses) == 300


def test_another_refusal_is_told_in_the_issuers_words(world: World) -> None:
    world.during = [lambda: world.issuer.refuse("server_says_no\x1b[31m")]
    result = world.login()
    assert result.exit_code == 4
    assert "server_says_no" in result.stderr
    assert "\x1b" not in result.stderr


def test_an_unknown_client_names_the_option(world: World) -> None:
    result = world.login("--client-id", "unknown")
    assert result.exit_code == 4
    assert "--client-id" in result.stderr


def test_an_issuer_without_device_flow_is_told(world: World) -> None:
    world.issuer.offers_device_flow = False
    assert "device flow" in world.login().stderr


def test_an_issuer_that_calls_itself_otherwise_is_refused(world: World) -> None:
    real = world.issuer.url
    world.issuer.url = "https://else.test"
    result = world.run("login", "--issuer", real)
    assert result.exit_code == 1


@pytest.mark.parametrize("issuer", ["http://issuer.test", "issuer.test", "ftp://issuer.test"])
def test_an_issuer_must_be_reached_over_https(world: World, issuer: str) -> None:
    result = world.run("login", "--issuer", issuer)
    assert (result.exit_code, world.issuer.seen) == (2, [])


def test_without_an_issuer_it_says_where_to_name_it(world: World) -> None:
    result = world.run("login")
    assert result.exit_code == 2
    assert "SSA_OIDC_ISSUER" in result.stderr


def test_the_issuer_may_come_from_the_environment(world: World) -> None:
    world.during = [world.issuer.approve]
    assert world.run("login", SSA_OIDC_ISSUER=world.issuer.url, SSA_OIDC_CLIENT_ID="mine").exit_code == 0
    assert next(iter(world.issuer.device_logins.values())).client_id == "mine"


def test_a_token_that_the_server_does_not_take_is_not_kept(world: World) -> None:
    world.api.on("GET", ME, problem(401, "not_authenticated"))
    world.during = [world.issuer.approve]
    result = world.login()
    assert (result.exit_code, world.logins.kept) == (4, {})


def test_a_server_that_is_away_does_not_cost_the_login(world: World) -> None:
    world.api.on("GET", ME, problem(503, "unavailable"))
    world.during = [world.issuer.approve]
    assert world.login().exit_code == 0
    assert URL in world.logins.kept


def test_a_token_in_the_environment_comes_first_and_is_named(world: World) -> None:
    world.during = [world.issuer.approve]
    assert "SSA_TOKEN" in world.login(SSA_TOKEN="ssa_other").stderr


def sign_in(world: World) -> SavedLogin:
    world.during = [world.issuer.approve]
    assert world.login().exit_code == 0
    return world.logins.kept[URL]


def test_a_login_is_renewed_when_its_token_has_expired(world: World) -> None:
    first = sign_in(world)
    world.api.on("GET", "/api/v1/requests", reply({"items": []}))
    world.run("requests", "list")
    assert world.logins.kept[URL] == first
    world.now += 10_000
    assert world.run("requests", "list").exit_code == 0
    second = world.logins.kept[URL]
    assert (second.token, second.refresh_token) != (first.token, first.refresh_token)
    assert world.api.token == second.token


def test_an_issuer_that_keeps_refresh_tokens_is_asked_with_the_same_again(world: World) -> None:
    world.issuer.rotates_refresh_tokens = False
    first = sign_in(world)
    world.api.on("GET", "/api/v1/requests", reply({"items": []}))
    for _ in range(2):
        world.now += 10_000
        assert world.run("requests", "list").exit_code == 0
    assert world.logins.kept[URL].refresh_token == first.refresh_token


def test_a_login_that_cannot_be_renewed_asks_to_sign_in_again(world: World) -> None:
    sign_in(world)
    world.issuer.refresh_tokens.clear()
    world.now += 10_000
    result = world.run("requests", "list")
    assert result.exit_code == 4
    assert "ssa login" in result.stderr


def test_an_access_token_that_is_no_jwt_gives_way_to_the_identity_token() -> None:
    assert Tokens(access_token="opaque", id_token="a.b.c").bearer == "a.b.c"
    assert Tokens(access_token="a.b.c", id_token="d.e.f").bearer == "a.b.c"
    assert Tokens(access_token="opaque").bearer == "opaque"


def test_logging_out_forgets_the_login(world: World) -> None:
    sign_in(world)
    assert world.run("logout").exit_code == 0
    assert world.logins.kept == {}
    assert "There was no login" in world.run("logout").stderr


class MemoryKeyring(KeyringBackend):
    """A keyring in memory; with `error` it refuses everything."""

    priority = 1

    def __init__(self, error: Exception | None = None) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.error = error

    def _check(self) -> None:
        if self.error:
            raise self.error

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[(service, username)] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        if self.kept.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError("not there")


class Absent(NoKeyring):
    """A machine without a keyring."""

    def __init__(self) -> None:
        """Nothing to set."""


@pytest.fixture
def use_keyring() -> Iterator[Callable[[KeyringBackend], None]]:
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


LOGIN = SavedLogin(token="kept", refresh_token="r", expires_at=1, token_endpoint="https://i/token", client_id="ssa")


def test_the_keyring_keeps_one_login_per_server(use_keyring: Callable[[KeyringBackend], None]) -> None:
    use_keyring(MemoryKeyring())
    store = KeyringStore()
    store.check()
    store.save(URL, LOGIN)
    assert (store.get(URL), store.get("https://else")) == (LOGIN, None)
    assert (store.delete(URL), store.delete(URL), store.get(URL)) == (True, False, None)


def test_without_a_keyring_it_says_so_before_anything_is_entered(
    world: World, use_keyring: Callable[[KeyringBackend], None]
) -> None:
    use_keyring(Absent())
    around = Surroundings(create_http=world.http, logins=KeyringStore())
    result = ssa("login", "--issuer", world.issuer.url, api=world.api, surroundings=around)
    assert (result.exit_code, world.issuer.seen) == (1, [])
    assert "no keyring" in result.stderr
    assert "SSA_TOKEN" in result.stderr


def test_a_locked_keyring_is_told_when_something_is_to_be_kept(use_keyring: Callable[[KeyringBackend], None]) -> None:
    use_keyring(MemoryKeyring(keyring.errors.KeyringLocked()))
    store = KeyringStore()
    assert store.get(URL) is None
    with pytest.raises(Exception, match="refused to keep"):
        store.save(URL, LOGIN)
    with pytest.raises(Exception, match="refused to forget"):
        store.delete(URL)

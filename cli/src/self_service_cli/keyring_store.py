"""Logins kept in the keyring of the operating system, one per server."""

from typing import Protocol

import keyring
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringError, NoKeyringError, PasswordDeleteError
from pydantic import BaseModel, ConfigDict, ValidationError

from self_service_cli.failures import Failure

SERVICE = "self-service-agent"
NO_KEYRING = "This machine has no keyring to keep the login in."
NO_KEYRING_HINT = (
    "Install one (GNOME Keyring, KWallet, macOS Keychain), or set SSA_TOKEN to an API key (ssa keys create)."
)


class SavedLogin(BaseModel):
    """What `ssa login` keeps. `expires_at`: seconds since 1970; 0 when the issuer did not say."""

    model_config = ConfigDict(frozen=True)

    token: str
    refresh_token: str = ""
    expires_at: float = 0
    token_endpoint: str
    client_id: str


class LoginStore(Protocol):
    def check(self) -> None:
        """Raises Failure when nothing can be kept here."""

    def get(self, url: str) -> SavedLogin | None: ...

    def save(self, url: str, login: SavedLogin) -> None:
        """Raises Failure when it cannot be kept."""

    def delete(self, url: str) -> bool:
        """True when there was one. Raises Failure when the keyring refuses."""


class KeyringStore:
    """The keyring that the `keyring` package finds on this machine."""

    def check(self) -> None:
        if isinstance(keyring.get_keyring(), NoKeyring):
            raise Failure(NO_KEYRING, code="no_keyring", hint=NO_KEYRING_HINT)

    def get(self, url: str) -> SavedLogin | None:
        """None also where there is no keyring, or a locked one: then nobody is signed in."""
        try:
            text = keyring.get_password(SERVICE, url)
            return SavedLogin.model_validate_json(text) if text else None
        except (KeyringError, ValidationError):
            return None

    def save(self, url: str, login: SavedLogin) -> None:
        try:
            keyring.set_password(SERVICE, url, login.model_dump_json())
        except NoKeyringError as exc:
            raise Failure(NO_KEYRING, code="no_keyring", hint=NO_KEYRING_HINT) from exc
        except KeyringError as exc:
            raise Failure(
                "The keyring refused to keep the login.", code="keyring", hint="Unlock it, then retry."
            ) from exc

    def delete(self, url: str) -> bool:
        try:
            keyring.delete_password(SERVICE, url)
        except (NoKeyringError, PasswordDeleteError):
            return False
        except KeyringError as exc:
            raise Failure("The keyring refused to forget the login.", code="keyring", hint="Unlock it first.") from exc
        return True

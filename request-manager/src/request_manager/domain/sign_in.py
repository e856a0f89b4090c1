"""What an OIDC token's verified claims say about a person. Source: OpenID Connect Core 1.0, section 5.1."""

from dataclasses import dataclass
from typing import Any

from shared_models.enums import Role
from shared_models.errors import NotAllowed

from request_manager.domain.callers import highest_role

MAX_CLAIM_LENGTH = 320


@dataclass(frozen=True)
class SignInRules:
    """`roles_claim`: where role names stand, dots for nesting; empty: the token says nothing about roles."""

    roles_claim: str
    bootstrap_admin: str
    trusts_email: bool


@dataclass(frozen=True)
class Profile:
    """A person as the issuer vouches for them. `role` None: keep the stored one."""

    issuer: str
    subject: str
    email: str
    name: str
    role: Role | None


def read_profile(claims: dict[str, Any], rules: SignInRules) -> Profile:
    """Raises NotAllowed when the issuer does not vouch for an e-mail address: accounts are matched by it."""
    email = claims.get("email")
    is_verified = claims.get("email_verified") is True or (rules.trusts_email and "email_verified" not in claims)
    if not isinstance(email, str) or "@" not in email or not is_verified or len(email) > MAX_CLAIM_LENGTH:
        raise NotAllowed("Your sign-in has no verified e-mail address.")
    email = email.strip().lower()
    name = claims.get("name") or claims.get("preferred_username") or ""
    role = highest_role(_names(claims, rules.roles_claim)) if rules.roles_claim else None
    if rules.bootstrap_admin and email == rules.bootstrap_admin.strip().lower():
        role = Role.ADMINISTRATOR
    return Profile(str(claims["iss"]), str(claims["sub"]), email, str(name)[:MAX_CLAIM_LENGTH], role)


def _names(claims: dict[str, Any], path: str) -> list[str]:
    value: Any = claims
    for part in [path] if path in claims else path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, str):
        return value.split()
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []

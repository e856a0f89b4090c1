"""Who calls, and what they may do. A caller is always verified: nothing here comes from a body."""

from dataclasses import dataclass
from uuid import UUID

from shared_models.enums import CallerKind, Role, Scope, ServiceName
from shared_models.errors import NotAllowed, NotFound
from shared_models.schemas import Person
from shared_models.tokens import Acting

ROLE_ORDER = (Role.USER, Role.OPERATOR, Role.ADMINISTRATOR)
EVERY_SCOPE = frozenset(Scope)
TOOL_SCOPES = frozenset({Scope.REQUESTS_READ, Scope.REQUESTS_WRITE})


@dataclass(frozen=True)
class Caller:
    """A person, a tool with its key, or a service. `id` is the scope of idempotency keys.

    `acts_for`: the people a tool may act for, None: everyone."""

    kind: CallerKind
    id: str
    scopes: frozenset[Scope] = EVERY_SCOPE
    person: Person | None = None
    role: Role = Role.USER
    service: ServiceName | None = None
    acts_for: frozenset[UUID] | None = frozenset()

    @property
    def is_operator(self) -> bool:
        return self.kind is CallerKind.PERSON and self.role in (Role.OPERATOR, Role.ADMINISTRATOR)

    @property
    def is_administrator(self) -> bool:
        return self.kind is CallerKind.PERSON and self.role is Role.ADMINISTRATOR

    @property
    def me(self) -> Person:
        """The person who calls. Raises NotAllowed for tools and services."""
        if self.person is None:
            raise NotAllowed("This is for people who are signed in.")
        return self.person

    @property
    def acting(self) -> Acting:
        """The person as the other services are told."""
        me = self.me
        roles = ROLE_ORDER[: ROLE_ORDER.index(self.role) + 1]
        return Acting(me.user_id, me.email, me.name, roles)

    def require(self, scope: Scope) -> None:
        """Raises NotAllowed when the key lacks the scope."""
        if scope not in self.scopes:
            raise NotAllowed(f"This key has no scope {scope.value}.")

    def require_operator(self) -> None:
        """Raises NotAllowed."""
        if not self.is_operator:
            raise NotAllowed("This is for operators.")

    def require_administrator(self) -> None:
        """Raises NotAllowed."""
        if not self.is_administrator:
            raise NotAllowed("This is for administrators.")

    def require_acting_for(self, user_id: UUID) -> None:
        """Raises NotAllowed when the tool's key does not name the person."""
        if self.acts_for is not None and user_id not in self.acts_for:
            raise NotAllowed("This key may not act for this person.")

    def owns(self, user_id: UUID, created_by: str) -> bool:
        """A request is its person's, and that of the tool which created it."""
        if self.person is not None:
            return self.person.user_id == user_id
        return self.kind is CallerKind.TOOL and self.id == created_by

    def require_own(self, user_id: UUID, created_by: str = "") -> None:
        """Raises NotFound for a foreign object, as if it were not there."""
        if not self.owns(user_id, created_by):
            raise NotFound


def person_caller(person: Person, role: Role, scopes: frozenset[Scope] = EVERY_SCOPE) -> Caller:
    return Caller(CallerKind.PERSON, f"user:{person.user_id}", scopes, person, role)


def highest_role(names: list[str]) -> Role:
    """The highest of the product's roles among the names; other names mean nothing here."""
    known = [role for role in ROLE_ORDER if role.value in names]
    return known[-1] if known else Role.USER

"""One PostgreSQL role per service. Roles belong to the whole server, so creating one is safe to repeat and to race."""

from alembic import op
from sqlalchemy import text

SERVICE_ROLES = ("ssa_request_manager", "ssa_agent_service", "ssa_integration_dispatcher")
SHARED_WRITE = "select, insert, update, delete"

CREATE_ROLE = """
do $$
begin
  if not exists (select from pg_roles where rolname = '{role}') then
    begin
      create role {role} nologin;
    exception
      when duplicate_object or unique_violation then null;
      when insufficient_privilege then
        raise notice 'role {role} is missing and may not be created here; services then use their own user';
    end;
  end if;
  if exists (select from pg_roles where rolname = '{role}') then
    begin
      if not pg_has_role(current_user, '{role}', 'member') then
        execute format('grant {role} to %I', current_user);
      end if;
    exception
      when insufficient_privilege or unique_violation then null;
    end;
    execute 'grant usage on schema public to {role}';
  end if;
end $$
"""


def create_roles() -> None:
    for role in SERVICE_ROLES:
        op.execute(text(CREATE_ROLE.format(role=role)))


def grant(privileges: str, table: str, *roles: str) -> None:
    """Grant on a table to those of the roles that exist here."""
    for role in roles:
        op.execute(
            text(
                f"do $$ begin if exists (select from pg_roles where rolname = '{role}') then "
                f"execute 'grant {privileges} on {table} to {role}'; end if; end $$"
            )
        )

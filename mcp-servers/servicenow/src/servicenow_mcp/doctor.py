"""`python -m servicenow_mcp.doctor` checks the set-up of ServiceNow and names each missing right, item, variable, choice.

It prints one JSON object, `{"ok": bool, "checks": [{"name", "ok", "detail", "fix"}]}`, and exits with 1 when something is
missing. It reads, and it sends one order without its mandatory variables, which ServiceNow refuses: the way in which it
refuses tells whether ordering is allowed."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from servicenow_mcp.app import create_backend, create_http
from servicenow_mcp.backend import ITEMS, TABLE
from servicenow_mcp.errors import NotAuthenticated, NotPermitted, Rejected, ServiceNowFault
from servicenow_mcp.records import ITEM_FIELDS, LAPTOP_FIELDS, USER_FIELDS
from servicenow_mcp.rest import RestClient
from servicenow_mcp.rules import shipped_rules
from servicenow_mcp.settings import ServiceNowSettings, complaint
from servicenow_mcp.variables import LAPTOP_CHOICES, VARIABLES

GUIDE = "docs/servicenow.md"
TABLES: Mapping[str, tuple[str, ...]] = {
    "sys_user": USER_FIELDS,
    "cmdb_ci_computer": LAPTOP_FIELDS,
    "sc_request": ("sys_id", "number", "requested_for"),
    # Variables show only on items that have them, so the catalogue item is asked about them instead.
    "sc_req_item": tuple(field for field in ITEM_FIELDS if not field.startswith("variables.")),
}
MANDATORY_MISSING = "mandatory variables"


@dataclass(frozen=True)
class Check:
    """`detail`: what was seen. `fix`: what an administrator does about it; empty when all is well."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


async def run_checks(rest: RestClient, item_id: str) -> list[Check]:
    """Return every check; when ServiceNow cannot be reached or the sign-in fails, only that one."""
    checks = [await check_sign_in(rest)]
    if not checks[0].ok:
        return checks
    checks += [await check_table(rest, table, fields) for table, fields in TABLES.items()]
    item, found = await check_item(rest, item_id)
    checks.append(item)
    if found:
        variables = check_variables(found)
        checks += variables
        if all(check.ok for check in variables):
            checks.append(await check_order(rest, item_id))
    return checks


async def check_sign_in(rest: RestClient) -> Check:
    name = "sign-in"
    try:
        await rest.get(TABLE + "sys_user", {"sysparm_limit": "1", "sysparm_fields": "sys_id"})
    except NotAuthenticated as fault:
        return Check(name, False, fault.cause, f"correct the SERVICENOW_* credentials; see {GUIDE}, Sign-in")
    except (NotPermitted, Rejected) as fault:
        return Check(name, True, f"accepted ({fault.cause})")
    except ServiceNowFault as fault:
        return Check(name, False, fault.cause, fault.words)
    return Check(name, True, "accepted")


async def check_table(rest: RestClient, table: str, fields: tuple[str, ...]) -> Check:
    """A missing row right reads as an empty answer with a total above 0, a missing field right as an absent field."""
    name = f"read {table}"
    params = {"sysparm_limit": "1", "sysparm_fields": ",".join(fields), "sysparm_display_value": "all"}
    try:
        answer = await rest.get(TABLE + table, params)
    except (NotPermitted, Rejected, NotAuthenticated) as fault:
        return Check(name, False, fault.cause, f"give the integration user the right to read {table}")
    except ServiceNowFault as fault:
        return Check(name, False, fault.cause, fault.words)
    rows = answer.result if isinstance(answer.result, list) else []
    if not rows and answer.total:
        fix = f"let the integration user read the rows of {table} (row ACL)"
        return Check(name, False, f"{answer.total} records, none of them readable", fix)
    if not rows:
        return Check(name, True, "readable, but the table is empty: its fields could not be checked")
    absent = [field for field in fields if field not in rows[0]]
    if absent:
        fix = f"let the integration user read these fields of {table} (field ACL), or add them"
        return Check(name, False, f"not readable: {', '.join(absent)}", fix)
    return Check(name, True, f"readable, {len(fields)} fields")


async def check_item(rest: RestClient, item_id: str) -> tuple[Check, Mapping[str, Any]]:
    """Return the check, and the catalogue item when it is there."""
    name = "catalogue item"
    try:
        answer = await rest.get(ITEMS + item_id)
    except (NotPermitted, Rejected, NotAuthenticated) as fault:
        fix = f"create the item (see {GUIDE}, Catalogue item), set SERVICENOW_LAPTOP_REFRESH_ID, let the user see it"
        return Check(name, False, f"{item_id}: {fault.cause}", fix), {}
    except ServiceNowFault as fault:
        return Check(name, False, fault.cause, fault.words), {}
    item = answer.result if isinstance(answer.result, dict) else {}
    return Check(name, bool(item), f"{item.get('name', 'unnamed')} ({item_id})"), item


def check_variables(item: Mapping[str, Any]) -> list[Check]:
    given = {each.get("name"): each for each in item.get("variables") or [] if isinstance(each, dict)}
    checks = []
    for variable in VARIABLES:
        name, found = f"variable {variable.name}", given.get(variable.name)
        if found is None:
            checks.append(Check(name, False, "missing", f"add a variable of type {variable.type} with this name"))
        elif variable.is_mandatory and not _is_true(found.get("mandatory")):
            checks.append(Check(name, False, "not mandatory", "make the variable mandatory"))
        else:
            checks.append(Check(name, True, variable.type))
    return checks + check_choices(given.get(LAPTOP_CHOICES) or {})


def check_choices(variable: Mapping[str, Any]) -> list[Check]:
    """Every code that is on offer must be a choice of the variable."""
    given = {each.get("value") for each in variable.get("choices") or [] if isinstance(each, dict)}
    missing = sorted(set(shipped_rules().catalogue.laptops) - given)
    detail = f"missing: {', '.join(missing)}" if missing else f"{len(given)} choices"
    fix = f"add these values as choices of {LAPTOP_CHOICES}" if missing else ""
    return [Check(f"choices of {LAPTOP_CHOICES}", not missing, detail, fix)]


async def check_order(rest: RestClient, item_id: str) -> Check:
    name = "order"
    fix = "give the integration user a role that may order the item (user criteria of the item and its catalogue)"
    try:
        await rest.write("POST", f"{ITEMS}{item_id}/order_now", {"sysparm_quantity": "1", "variables": {}})
    except Rejected as fault:
        is_allowed = MANDATORY_MISSING in fault.cause.lower()
        return Check(name, is_allowed, "allowed" if is_allowed else fault.cause, "" if is_allowed else fix)
    except (NotPermitted, NotAuthenticated) as fault:
        return Check(name, False, fault.cause, fix)
    except ServiceNowFault as fault:
        return Check(name, False, fault.cause, fault.words)
    return Check(name, False, "an order without its mandatory variables was accepted", "make the variables mandatory")


def report(checks: Iterable[Check]) -> dict[str, object]:
    listed = list(checks)
    return {"ok": all(check.ok for check in listed), "checks": [asdict(check) for check in listed]}


async def diagnose(load: Callable[[], ServiceNowSettings] = ServiceNowSettings) -> dict[str, object]:
    try:
        settings = load()
    except ValidationError as exc:
        return report([Check("settings", False, complaint(exc), f"see {GUIDE}, Settings")])
    async with create_http() as http:
        backend = create_backend(settings, http)
        return report(await run_checks(backend.rest, backend.catalogue_item))


def main() -> int:
    found = asyncio.run(diagnose())
    sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if found["ok"] else 1


def _is_true(given: object) -> bool:
    return given is True or given == "true"


if __name__ == "__main__":
    sys.exit(main())

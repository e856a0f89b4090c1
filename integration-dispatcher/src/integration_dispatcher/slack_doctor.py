"""`python -m integration_dispatcher.slack_doctor` compares what Slack has granted the app with its manifest.

It reads SLACK_BOT_TOKEN and SLACK_API_URL, calls `auth.test` once, prints one JSON object, `{"ok": bool, "checks": [{"name",
"ok", "detail", "fix"}]}`, and exits with 1 when something is missing. Source: https://docs.slack.dev/reference/methods/auth.test"""

import asyncio
import sys
from dataclasses import asdict, dataclass

import httpx
import orjson
from pydantic import ValidationError
from shared_models.slack_manifest import SCOPES

from integration_dispatcher.domain.redaction import safe_words
from integration_dispatcher.settings_slack import SlackSettings

GUIDE = "docs/integrations/slack.md"
AGAIN = "Update the app with the output of `ssa slack manifest`, then install it to the workspace again."


@dataclass(frozen=True)
class Check:
    """`detail`: what was seen. `fix`: what an administrator does about it; empty when all is well."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


async def run_checks(settings: SlackSettings, http: httpx.AsyncClient) -> list[Check]:
    if not settings.has_slack:
        return [Check("slack token", ok=False, detail="SLACK_BOT_TOKEN is not set here", fix=f"See {GUIDE}.")]
    token = settings.slack_bot_token.get_secret_value()
    url = settings.slack_api_url.rstrip("/") + "/auth.test"
    try:
        reply = await http.post(url, headers={"authorization": f"Bearer {token}"}, timeout=settings.slack_timeout_s)
        answer = reply.json()
    except (httpx.HTTPError, ValueError) as exc:
        fix = "Check SLACK_API_URL, and whether this machine may call it."
        return [Check("slack token", ok=False, detail=f"no answer from Slack ({type(exc).__name__})", fix=fix)]
    if not isinstance(answer, dict) or answer.get("ok") is not True:
        words = safe_words(str(answer.get("error") if isinstance(answer, dict) else "no JSON object"))
        return [Check("slack token", ok=False, detail=f"Slack refuses the token: {words}", fix=AGAIN)]
    team, user = safe_words(str(answer.get("team", ""))), safe_words(str(answer.get("user", "")))
    seen = Check("slack token", ok=True, detail=f"{user} in {team}")
    return [seen, check_scopes(reply.headers.get("x-oauth-scopes", ""))]


def check_scopes(granted: str) -> Check:
    """`granted`: the comma separated list of the header X-OAuth-Scopes."""
    has = {name.strip() for name in granted.split(",") if name.strip()}
    missing = [name for name in SCOPES if name not in has]
    more = sorted(has - SCOPES.keys())
    if missing:
        needs = "; ".join(f"{name} ({SCOPES[name]})" for name in missing)
        return Check("slack scopes", ok=False, detail=f"missing: {needs}", fix=AGAIN)
    detail = f"all {len(SCOPES)} are granted"
    return Check("slack scopes", ok=True, detail=f"{detail}; not needed: {', '.join(more)}" if more else detail)


async def report() -> list[Check]:
    try:
        settings = SlackSettings()
    except ValidationError as exc:
        words = "; ".join(error["msg"].removeprefix("Value error, ") for error in exc.errors(include_input=False))
        return [Check("slack settings", ok=False, detail=words, fix=f"See {GUIDE}.")]
    async with httpx.AsyncClient(trust_env=False) as http:
        return await run_checks(settings, http)


def main() -> int:
    checks = asyncio.run(report())
    is_ok = all(check.ok for check in checks)
    sys.stdout.write(orjson.dumps({"ok": is_ok, "checks": [asdict(check) for check in checks]}).decode() + "\n")
    return 0 if is_ok else 1


if __name__ == "__main__":
    sys.exit(main())

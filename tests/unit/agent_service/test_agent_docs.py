"""docs/adding-an-agent.md tells the truth."""

import re
from pathlib import Path

from agent_service.agent_files import AgentFile, Surroundings, load_agents
from agent_service.domain.agents import AgentLimits

GUIDE = Path(__file__).parents[3] / "docs" / "adding-an-agent.md"


def test_the_example_of_the_guide_can_be_used(tmp_path: Path) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "vpn-helper.yaml").write_text(example)
    router = "name: routing-agent\ndescription: d\ninstructions: i\nhandoffs: [vpn-helper]\n"
    (tmp_path / "routing-agent.yaml").write_text(router)
    around = Surroundings(frozenset({"network"}), frozenset({"it-help"}), "llm/default")
    agent = load_agents(tmp_path, around).get("vpn-helper")
    assert agent is not None
    effect = agent.effect_of("reset_certificate", {"device": "NB-1"})
    assert effect == "Reset the VPN certificate of NB-1. You have to sign in again afterwards."
    assert set(AgentFile.model_fields) == {line.split(":")[0] for line in example.splitlines() if re.match(r"\w", line)}


def test_the_guide_names_every_limit_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", GUIDE.read_text(), re.MULTILINE))
    limits = AgentLimits()
    assert {name: float(value) for name, value in rows.items()} == {
        name: float(getattr(limits, name)) for name in AgentLimits.model_fields
    }

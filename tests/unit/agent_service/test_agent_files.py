"""Agent files: what is wrong is refused at start, with file and line."""

from dataclasses import replace
from pathlib import Path

import pytest
from agent_service.agent_files import AGENTS_FOLDER, AgentFilesInvalid, Surroundings, load_agents
from agent_service.domain.agents import AgentCatalogue

AROUND = Surroundings(
    servers=frozenset({"servicenow"}), knowledge_bases=frozenset({"it-help", "laptop-refresh"}), model="llm/default"
)
ROUTER = """\
name: routing-agent
description: Greets
instructions: Be kind.
"""


def load(folder: Path, text: str, name: str = "routing-agent.yaml") -> AgentCatalogue:
    (folder / "routing-agent.yaml").write_text(ROUTER)
    (folder / name).write_text(text)
    return load_agents(folder, AROUND)


def test_the_shipped_agents_can_be_read_and_know_each_other() -> None:
    agents = load_agents(AGENTS_FOLDER, AROUND)
    assert {agent.name for agent in agents} == {"routing-agent", "laptop-refresh"}
    assert agents.entry.name == "routing-agent"
    for agent in agents:
        assert all(agents.get(other) is not None for other in agent.handoffs)
    laptop = agents.get("laptop-refresh")
    assert laptop is not None
    assert laptop.needs_confirmation("open_laptop_refresh_ticket")
    assert not laptop.needs_confirmation("find_my_laptops")
    assert laptop.server_of("find_my_laptops") == "servicenow"
    assert laptop.server_of("rm_rf") is None


def test_every_agent_can_be_reached_from_the_first_one() -> None:
    agents = load_agents(AGENTS_FOLDER, AROUND)
    reached, waiting = set(), ["routing-agent"]
    while waiting:
        agent = agents.get(waiting.pop())
        assert agent is not None
        reached.add(agent.name)
        waiting += [name for name in agent.handoffs if name not in reached]
    assert reached == {agent.name for agent in agents}


def test_an_agent_whose_server_is_off_is_left_out_with_the_hand_overs_to_it() -> None:
    agents = load_agents(AGENTS_FOLDER, replace(AROUND, off=frozenset({"servicenow"})))
    assert [agent.name for agent in agents] == ["routing-agent"]
    assert agents.entry.handoffs == ()


def test_the_first_agent_cannot_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "routing-agent.yaml").write_text(ROUTER + "tools: {servicenow: [find_my_laptops]}\n")
    with pytest.raises(AgentFilesInvalid, match=r"routing-agent\.yaml: it needs an MCP server that has no URL"):
        load_agents(tmp_path, replace(AROUND, off=frozenset({"servicenow"})))


def test_the_effect_of_a_write_is_told_in_plain_words() -> None:
    laptop = load_agents(AGENTS_FOLDER, AROUND).get("laptop-refresh")
    assert laptop is not None
    arguments = {
        "laptop_code": "apple_mac_book_air_m_3",
        "business_justification": "old\n\n# one\x00 [click](http://evil) `x`",
    }
    effect = laptop.effect_of("open_laptop_refresh_ticket", arguments)
    assert "apple_mac_book_air_m_3" in effect
    assert "(not given)" in effect
    assert "\n" not in effect
    assert "[click]" not in effect
    long = laptop.effect_of("open_laptop_refresh_ticket", {"business_justification": "x" * 10_000})
    assert len(long) < 700


def test_a_file_says_what_the_agent_is(tmp_path: Path) -> None:
    agents = load(
        tmp_path,
        """\
name: helper
description: >-
  Helps
  people
model: llm/other
instructions: |
  Help.
sampling: {temperature: 0}
tools:
  servicenow: [find_my_laptops, order]
knowledge_bases: [it-help]
handoffs: [routing-agent]
confirm:
  order: Orders {what}.
limits: {tool_calls: 3, turn_s: 30}
""",
        "helper.yaml",
    )
    helper = agents.get("helper")
    assert helper is not None
    assert (helper.description, helper.model, helper.instructions) == ("Helps people", "llm/other", "Help.")
    assert helper.sampling.given() == {"temperature": 0}
    assert helper.tool_names == ["find_my_laptops", "order"]
    assert (helper.limits.tool_calls, helper.limits.turn_s, helper.limits.model_calls) == (3, 30, 8)
    assert agents.entry.model == "llm/default"
    assert helper.view().knowledge_bases == ["it-help"]


def test_another_text_is_another_version(tmp_path: Path) -> None:
    first = load(tmp_path, ROUTER).entry.version
    assert load(tmp_path, ROUTER).entry.version == first
    assert load(tmp_path, ROUTER + "model: llm/other\n").entry.version != first
    assert len(first) == 12


MISTAKES = [
    (ROUTER + "tols: {}\n", "routing-agent.yaml:4: unknown key 'tols'"),
    (ROUTER + "limits:\n  tool_calls: 3\n  coffee: 1\n", "routing-agent.yaml:6: unknown key 'limits.coffee'"),
    (ROUTER + "limits:\n  tool_calls: many\n", "routing-agent.yaml:5: 'limits.tool_calls'"),
    (ROUTER + "limits:\n  turn_s: -1\n", "routing-agent.yaml:5: 'limits.turn_s'"),
    (ROUTER + "sampling: {temperature: 9}\n", "routing-agent.yaml:4: 'sampling.temperature'"),
    (
        ROUTER + "tools:\n  jira: [find]\n",
        "routing-agent.yaml:5: unknown MCP server 'jira' (MCP_SERVERS has: servicenow)",
    ),
    (ROUTER + "tools:\n  servicenow: []\n", "routing-agent.yaml:5: 'tools.servicenow'"),
    (ROUTER + "tools:\n  servicenow:\n    - find\n    - two words\n", "routing-agent.yaml:7: 'tools.servicenow.1'"),
    (ROUTER + "tools:\n  servicenow:\n    - find\n    - find\n", "routing-agent.yaml:7: there is another tool called"),
    (ROUTER + "tools:\n  servicenow: [transfer_to_agent]\n", "routing-agent.yaml:5: there is another tool called"),
    (ROUTER + "tools: [find]\n", "routing-agent.yaml:4: 'tools' must be a mapping"),
    (ROUTER + "knowledge_bases:\n- it-help\n- cooking\n", "routing-agent.yaml:6: unknown knowledge base 'cooking'"),
    (ROUTER + "handoffs: [nobody]\n", "routing-agent.yaml:4: no other agent is called 'nobody'"),
    (ROUTER + "handoffs: [routing-agent]\n", "routing-agent.yaml:4: no other agent is called 'routing-agent'"),
    (ROUTER + "confirm:\n  order: Orders.\n", "routing-agent.yaml:5: 'order' is not in tools"),
    (
        ROUTER + "tools: {servicenow: [order]}\nconfirm:\n  order: Orders {a.__class__}.\n",
        "routing-agent.yaml:6: the effect cannot be read",
    ),
    (
        ROUTER + "tools: {servicenow: [order]}\nconfirm:\n  order: Orders {.\n",
        "routing-agent.yaml:6: the effect cannot be read",
    ),
    ("name: routing-agent\ninstructions: Be kind.\n", "routing-agent.yaml:1: the key 'description' is missing"),
    (ROUTER.replace("Be kind.", ""), "routing-agent.yaml:3: 'instructions'"),
    (ROUTER + "name: routing-agent\n", "routing-agent.yaml:4: the key 'name' is there twice"),
    (ROUTER + "model: [a\n", "routing-agent.yaml:5:"),
    (ROUTER + "model: !!python/object:os.system x\n", "routing-agent.yaml:4: could not determine a constructor"),
    (ROUTER + "7: x\n", "routing-agent.yaml:4: a key must be text"),
    ("- a\n", "routing-agent.yaml:1: 'the file' must be a mapping"),
    ("", "routing-agent.yaml:1: 'the file' must be a mapping"),
    (ROUTER + "handoffs: &a [*a]\n", "routing-agent.yaml:4: too deeply nested"),
    (
        ROUTER.replace("routing-agent", "other"),
        "routing-agent.yaml:1: the agent 'other' belongs into a file 'other.yaml'",
    ),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(AgentFilesInvalid) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)


def test_all_mistakes_of_all_files_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(AgentFilesInvalid) as caught:
        load(tmp_path, "name: Helper\ntols: 1\n", "helper.yaml")
    assert len(str(caught.value).splitlines()) == 4


def test_values_are_not_repeated_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(AgentFilesInvalid) as caught:
        load(tmp_path, ROUTER + "limits: secret-of-somebody\n")
    assert "secret-of-somebody" not in str(caught.value)


def test_a_file_in_another_encoding_or_of_absurd_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "routing-agent.yaml").write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(AgentFilesInvalid, match=r"routing-agent\.yaml:1"):
        load_agents(tmp_path, AROUND)
    (tmp_path / "routing-agent.yaml").write_text("#" * 300_000)
    with pytest.raises(AgentFilesInvalid, match="larger than"):
        load_agents(tmp_path, AROUND)


def test_without_the_first_agent_there_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(AgentFilesInvalid, match=r"there is no routing-agent\.yaml"):
        load_agents(tmp_path, AROUND)

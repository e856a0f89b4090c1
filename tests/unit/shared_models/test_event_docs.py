"""What is written about the events is what the code says, and it is valid."""

import json
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import JsonValue, ValidationError
from shared_models.enums import ServiceName
from shared_models.event_data import KINDS, data_of
from shared_models.events import EventType, dataschema_of, parse_http

from tests.support.event_docs import ATTRIBUTES, DOCS, examples, files, schema_of, schema_path

KNOWN = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}

type Json = dict[str, Any]


def document() -> Json:
    found: Json = yaml.safe_load((DOCS / "asyncapi.yaml").read_text(encoding="utf-8"))
    return found


def resolve(whole: Json, reference: str) -> Any:
    """What `$ref` points to, in the document or in a file beside it. Raises KeyError, OSError."""
    if reference.startswith("./"):
        return json.loads((DOCS / reference).read_text(encoding="utf-8"))
    found: Any = whole
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for item in value.values() for each in references(item)]
    return [each for item in value for each in references(item)] if isinstance(value, list) else []


def test_the_files_are_what_the_code_says() -> None:
    stale = [path.name for path, text in files().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run: python -m tests.support.event_docs"


def test_there_is_a_schema_for_each_type_and_no_other() -> None:
    found = {path.relative_to(DOCS).as_posix() for path in (DOCS / "schemas").rglob("*.json")}
    assert found == {schema_path(kind) for kind in EventType}


@pytest.mark.parametrize("kind", EventType)
def test_an_example_fits_its_schema_and_its_consumers_take_it(kind: EventType) -> None:
    schema = schema_of(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    event = examples()[kind]
    assert schema["$id"] == event.dataschema == dataschema_of(kind)
    check = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    check.validate(event.data)
    assert isinstance(event.data, dict)
    assert list(check.iter_errors({**event.data, "unknown": 1}))
    assert list(check.iter_errors({name: item for name, item in event.data.items() if name != "request_id"}))
    came = parse_http(*event.to_binary())
    for taker in KINDS[kind].takers:
        assert isinstance(data_of(came, taker), KINDS[kind].model)


@pytest.mark.parametrize("kind", EventType)
def test_fields_that_a_newer_release_has_added_are_ignored(kind: EventType) -> None:
    event = examples()[kind]
    newer = event.model_copy(update={"data": with_added_fields(event.data), "raw": None})
    came = parse_http(*newer.to_binary())
    for taker in KINDS[kind].takers:
        assert data_of(came, taker) == data_of(event, taker)
    with pytest.raises(ValidationError):
        KINDS[kind].model.model_validate(came.data)


def with_added_fields(value: JsonValue) -> JsonValue:
    """In each object that has fields of ours; not in free ones, which are empty in the examples."""
    if isinstance(value, list):
        return [with_added_fields(each) for each in value]
    if isinstance(value, dict) and value:
        return {"added": 1} | {name: with_added_fields(each) for name, each in value.items()}
    return value


def test_every_type_is_sent_and_taken_by_somebody() -> None:
    assert set(KINDS) == set(EventType)
    assert all(kind.senders and kind.takers for kind in KINDS.values())
    assert ServiceName.BROKER not in {name for kind in KINDS.values() for name in (*kind.senders, *kind.takers)}


def test_the_attributes_that_are_told_of_are_those_that_are_sent() -> None:
    sent = {name for event in examples().values() for name in event.to_binary()[0]}
    assert sent == {"content-type" if name == "datacontenttype" else f"ce-{name}" for name in ATTRIBUTES}


def test_the_asyncapi_document_holds_together() -> None:
    whole = document()
    assert whole["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= whole["info"].keys()
    assert whole.keys() <= KNOWN
    for reference in references(whole):
        assert resolve(whole, reference), reference
    for name, channel in whole["channels"].items():
        assert channel["address"] in set(EventType), name
        assert len(channel["messages"]) == 1


def test_each_operation_of_the_document_is_one_of_the_code() -> None:
    whole = document()
    said = set()
    for name, operation in whole["operations"].items():
        channel = resolve(whole, operation["channel"]["$ref"])
        [message] = operation["messages"]
        assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
        assert operation["action"] in ("send", "receive")
        said.add((name.split(".")[0], operation["action"], channel["address"]))
    done = {(name.value, "send", kind.value) for kind, about in KINDS.items() for name in about.senders}
    done |= {(name.value, "receive", kind.value) for kind, about in KINDS.items() for name in about.takers}
    assert said == done


def test_the_examples_of_the_document_fit_its_schemas() -> None:
    whole = document()
    for message in whole["components"]["messages"].values():
        headers = resolve(whole, message["headers"]["$ref"])
        payload = resolve(whole, message["payload"]["schema"]["$ref"])
        for example in message["examples"]:
            jsonschema.Draft202012Validator(headers).validate(example["headers"])
            jsonschema.Draft202012Validator(payload).validate(example["payload"])
            assert parse_http(example["headers"], json.dumps(example["payload"]).encode()).type == message["name"]


def test_the_example_headers_are_all_described() -> None:
    whole = document()
    described = set(whole["components"]["schemas"]["attributes"]["properties"])
    for message in whole["components"]["messages"].values():
        assert set(message["examples"][0]["headers"]) <= described

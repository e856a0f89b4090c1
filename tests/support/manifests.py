"""A strict check of rendered objects: unknown fields, wrong types, and kinds without a schema are errors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate

SCHEMAS = Path(__file__).with_name("schemas")
KUBERNETES_VERSIONS = ("1.30", "1.34", "1.37")
TOP_LEVEL = {"apiVersion", "kind", "metadata", "spec"}
# Real fields of Knative's spec.delivery that the catalogue's schemas refuse.
LEFT_OUT = {"timeout": {"type": "string"}, "retryAfterMax": {"type": "string"}}


class BadManifest(Exception):
    """Names the object and what is wrong with it."""


def check_manifest(document: dict[str, Any], versions: Sequence[str] = KUBERNETES_VERSIONS) -> None:
    """Raises BadManifest. Kinds of Kubernetes itself are checked by the schemas of these versions."""
    title = f"{document['kind']} {document['metadata'].get('name')}"
    group, _, version = document["apiVersion"].rpartition("/")
    path = SCHEMAS / group / f"{document['kind'].lower()}_{version}.json"
    try:
        if path.exists():
            _check_custom(document, path)
        else:
            for kubernetes in versions:
                kubernetes_validate.validate(document, kubernetes, strict=True)
    except jsonschema.ValidationError as exc:
        raise BadManifest(f"{title}: {'.'.join(map(str, exc.absolute_path))}: {exc.message}") from exc
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as exc:
        raise BadManifest(f"{title}: {exc}") from exc


def _check_custom(document: dict[str, Any], path: Path) -> None:
    if unknown := set(document) ^ TOP_LEVEL:  # most schemas leave the top level open
        raise BadManifest(f"{document['kind']}: unknown or missing field {min(unknown)!r}")
    schema = json.loads(path.read_text())
    delivery = schema["properties"]["spec"]["properties"].get("delivery")
    if delivery is not None:
        delivery["properties"] |= LEFT_OUT
    jsonschema.Draft202012Validator(schema).validate(document)

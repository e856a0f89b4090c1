"""A stand-in for the API server of Kubernetes: says what it serves, and holds Secrets; for `helm template --dry-run=server`."""

import base64
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

type Json = dict[str, object]

# What an empty cluster serves of the kinds that the chart makes, by group and version.
KINDS = {
    "v1": {
        "secrets": "Secret",
        "services": "Service",
        "serviceaccounts": "ServiceAccount",
        "configmaps": "ConfigMap",
        "pods": "Pod",
    },
    "apps/v1": {"deployments": "Deployment"},
    "batch/v1": {"jobs": "Job"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
}
NOT_FOUND: Json = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


def replies(secrets: Mapping[str, Sequence[str]]) -> dict[str, Json]:
    """By path, without the namespace: each has the same.

    Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api"""
    found: dict[str, Json] = {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(name) for name in KINDS if "/" in name],
        },
    }
    for group, kinds in KINDS.items():
        resources = [{"name": name, "namespaced": True, "kind": kind, "verbs": ["get"]} for name, kind in kinds.items()]
        path = f"/apis/{group}" if "/" in group else f"/api/{group}"
        found[path] = {"kind": "APIResourceList", "groupVersion": group, "resources": resources}
    for name, keys in secrets.items():
        data = {key: base64.b64encode(b"value").decode() for key in keys}
        about = {"name": name}
        secret: Json = {"kind": "Secret", "apiVersion": "v1", "metadata": about, "data": data}
        found[f"/api/v1/secrets/{name}"] = secret
    return found


def _group(group_version: str) -> Json:
    group, _, version = group_version.partition("/")
    served = {"groupVersion": group_version, "version": version}
    return {"name": group, "versions": [served], "preferredVersion": served}


@contextmanager
def kubernetes_api(folder: Path, secrets: Mapping[str, Sequence[str]]) -> Iterator[Path]:
    """Serve until the end; gives a file for `--kubeconfig`. `secrets`: the keys of each."""
    known = replies(secrets)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = known.get(re.sub("/namespaces/[^/]+", "", self.path.partition("?")[0]))
            body = json.dumps(reply or NOT_FOUND).encode()
            self.send_response(404 if reply is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield _kubeconfig(folder, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


def _kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }
    path.write_text(yaml.safe_dump(content))
    path.chmod(0o600)
    return path

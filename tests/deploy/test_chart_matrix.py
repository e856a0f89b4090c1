"""Every set of values x Kubernetes version x presence of APIs x helm: renders, and is valid under strict schemas."""

from pathlib import Path

import pytest

from tests.support.chart import APIS, KUBERNETES, VALUES, rendered
from tests.support.helm import CHART, OLDER_VERSION, REQUIRED, VERSION, HelmFailed, helm
from tests.support.manifests import SCHEMAS, check_manifest

HELMS = (VERSION, OLDER_VERSION)


def test_the_schemas_of_other_kinds_are_there() -> None:
    groups = {path.name for path in SCHEMAS.iterdir() if path.is_dir()}
    assert groups >= {version.split("/")[0] for version in APIS.values()}


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("name", VALUES)
def test_every_object_fits_its_schema(name: str, kubernetes: str) -> None:
    objects = rendered(name, kubernetes)
    assert objects
    for each in objects:
        check_manifest(each, [kubernetes.removesuffix(".0")])


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("name", VALUES)
def test_both_helms_render_the_same(name: str, kubernetes: str) -> None:
    assert rendered(name, kubernetes, helm=OLDER_VERSION) == rendered(name, kubernetes)


@pytest.mark.parametrize("version", HELMS)
@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("name", VALUES)
def test_without_the_apis_the_rest_is_the_same_or_one_clear_sentence_says_what_is_missing(
    name: str, kubernetes: str, version: str
) -> None:
    if not VALUES[name].needs:
        assert rendered(name, kubernetes, apis=False, helm=version) == rendered(name, kubernetes)
        return
    with pytest.raises(HelmFailed, match="this cluster has no") as refused:
        rendered(name, kubernetes, apis=False, helm=version)
    assert APIS[VALUES[name].needs[0]] in str(refused.value)


@pytest.mark.parametrize("name", VALUES)
def test_rendered_twice_is_equal(name: str) -> None:
    first = list(rendered(name))
    rendered.cache_clear()
    assert rendered(name) == first


@pytest.mark.parametrize("version", HELMS)
@pytest.mark.parametrize("name", VALUES)
def test_the_chart_passes_helms_own_linter(name: str, version: str) -> None:
    values = VALUES[name].arguments
    helm("lint", "--strict", str(CHART), *REQUIRED, "--set", "checkApis=false", *values, version=version)


@pytest.mark.parametrize("version", HELMS)
def test_the_chart_can_be_packaged_and_rendered_from_its_package(tmp_path: Path, version: str) -> None:
    helm("package", str(CHART), "--destination", str(tmp_path), version=version)
    [package] = tmp_path.glob("self-service-agent-*.tgz")
    assert "kind: Deployment" in helm("template", "ssa", str(package), *REQUIRED, version=version)


@pytest.mark.parametrize("version", HELMS)
def test_a_kubernetes_that_is_too_old_is_refused(version: str) -> None:
    with pytest.raises(HelmFailed, match=r"1\.29"):
        helm("template", "ssa", str(CHART), *REQUIRED, "--kube-version", "1.29.0", version=version)

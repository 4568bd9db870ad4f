"""The image, the compose file and the Kubernetes manifest: what they name exists, and agrees."""

import re
import secrets
import subprocess
import sys
from typing import Any

import kubernetes_validate
import pytest
import yaml

from settings import Settings
from tests.deploy.installed import ROOT
from tests.test_architecture import HOUSE

CONTAINERFILE = (ROOT / "Containerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = [
    *yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text())
]
KUBERNETES = ("1.27", "1.31", "1.34")


def _settings(told: dict[str, Any]) -> Settings:
    """The settings that an environment of this kind comes to."""
    names = {name.removesuffix("_FILE").lower() for name in told}
    assert names <= {*Settings.model_fields}, "no such setting"
    plain: dict[str, Any] = {k.lower(): str(v) for k, v in told.items() if not k.endswith("_FILE")}
    return Settings(_env_file=None, **plain)


def test_the_image_is_not_roots_and_its_root_needs_no_writing() -> None:
    last = CONTAINERFILE.rpartition("\nFROM ")[2]
    user = re.search(r"^USER (\d+):(\d+)$", last, re.MULTILINE)
    assert user is not None
    assert "0" not in user.groups()
    assert re.search(r"^VOLUME (\S+)$", last, re.MULTILINE)[1] == "/var/lib/parley"  # type: ignore[index]
    assert "DATA_DIR=/var/lib/parley" in last
    assert last.count("HEALTHCHECK") == 1


def test_the_image_takes_every_room() -> None:
    for name in (".containerignore", ".dockerignore"):
        lines = (ROOT / name).read_text().splitlines()
        taken = {line[1:] for line in lines if line.startswith("!")}
        assert {room for room in HOUSE if (ROOT / room).is_dir()} <= taken
        assert {"main.py", "application.py", "pyproject.toml", "requirements.lock"} <= taken
        assert all((ROOT / path).exists() for path in taken)


def test_the_images_health_check_is_a_program_that_sees_a_server_down() -> None:
    written = re.search(r'CMD \["python", "-c", \\\n  "(.+)"\]', CONTAINERFILE)
    assert written is not None
    code = written[1].replace('\\"', '"')
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PORT": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


def test_compose_names_only_what_it_has() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        for kind in ("networks", "secrets"):
            assert {*service.get(kind, ())} <= {*COMPOSE[kind]}, name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).is_file(), volume
        for other, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            # Parley's health check is in its image.
            assert "healthcheck" in services[other] or other == "parley"


def test_composes_parley_is_contained_and_its_settings_are_settings() -> None:
    parley = COMPOSE["services"]["parley"]
    assert (parley["read_only"], parley["cap_drop"]) == (True, ["ALL"])
    told = {**parley["environment"], "CORS_ORIGINS": "https://chat.example.com", "CHAT_PAGE": "on"}
    settings = _settings(told)
    [network] = COMPOSE["networks"]["front"]["ipam"]["config"]
    assert settings.trusted_proxies == (network["subnet"],)
    assert settings.wait_for_db_seconds > 0
    mounted = {v.removeprefix("/run/secrets/") for k, v in told.items() if k.endswith("_FILE")}
    assert mounted == {*parley["secrets"]}


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_manifest_is_what_kubernetes_takes(version: str) -> None:
    for manifest in MANIFESTS:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_manifest_validation_sees_an_error() -> None:
    wrong = {**MANIFESTS[2], "spec": {**MANIFESTS[2]["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[-1], strict=True)


def test_the_manifests_parts_belong_together() -> None:
    by_kind = {(one["kind"], one["metadata"]["name"]): one for one in MANIFESTS}
    whole = by_kind["StatefulSet", "parley"]["spec"]
    pod, labels = whole["template"]["spec"], whole["template"]["metadata"]["labels"]
    [container] = pod["containers"]
    [port] = container["ports"]
    for (kind, name), one in by_kind.items():
        if kind == "Service":
            assert one["spec"]["selector"] == labels, name
            assert {p["targetPort"] for p in one["spec"]["ports"]} == {port["name"]}
    assert ("Service", whole["serviceName"]) in by_kind
    told = {**by_kind["ConfigMap", "parley"]["data"], **by_kind["Secret", "parley"]["stringData"]}
    told["JWT_SECRET"] = secrets.token_hex(32)
    settings = _settings(told)
    # What is stopped gets no new clients first, then the time that it takes to stop.
    [_, wait] = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > int(wait) + settings.shutdown_seconds + 3
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in PROBES}
    assert paths == PROBES
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/tmp", "/var/lib/parley"} == mounts
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_manifests_secret_is_refused_as_it_stands() -> None:
    [secret] = [one for one in MANIFESTS if one["kind"] == "Secret"]
    with pytest.raises(ValueError, match="ENV=production refuses it"):
        _settings({"ENV": "production", "JWT_SECRET": secret["stringData"]["JWT_SECRET"]})


PROBES = {"startup": "/health", "liveness": "/health", "readiness": "/ready"}

"""compose.yaml and ops/prometheus.yml: their form, and that they agree with what they run."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from proxy.config.load import load_or_raise
from proxy.config.models import Config
from proxy.plugin.catalog import Catalog
from proxy.units import parse_duration
from proxy.version import VERSION
from tests.image import composefile, dockerfile
from tests.image.kit import NEEDED, ROOT

REFERENCE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)")
COMMENT = re.compile(r"(?:^|\s)#.*")

OF_THE_MACHINE = {"XDG_RUNTIME_DIR"}
"""Names that routes.yaml reads and no container sets: BRAIN_CONTROL stands over what they make."""

OVER_THE_FILE = {"BRAIN_ADMIN"}
"""Settings that are no names of routes.yaml but stand over its keys."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return composefile.read((ROOT / "compose.yaml").read_text(), NEEDED)


@pytest.fixture(scope="module")
def gateway(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]["gateway"]
    return found


@pytest.fixture(scope="module")
def config(gateway: dict[str, Any]) -> Config:
    """routes.yaml as the container's environment makes it."""
    loaded = load_or_raise(
        [ROOT / "routes.yaml"], environment=gateway["environment"], catalog=Catalog()
    )
    assert loaded.config is not None
    return loaded.config


@pytest.fixture(scope="module")
def image() -> dockerfile.Stage:
    return dockerfile.stages((ROOT / "Dockerfile").read_text())[-1]


@pytest.mark.parametrize("name", NEEDED)
def test_it_does_not_start_without_what_only_the_operator_knows(name: str) -> None:
    others = {key: value for key, value in NEEDED.items() if key != name}
    with pytest.raises(composefile.Missing, match=name):
        composefile.read((ROOT / "compose.yaml").read_text(), others)


def test_every_variable_of_the_file_is_told_in_its_head() -> None:
    text = (ROOT / "compose.yaml").read_text()
    head, _, body = text.partition("\nservices:\n")
    assert set(REFERENCE.findall(body)) == set(re.findall(r"^#   ([A-Z_]+) ", head, re.MULTILINE))


def test_the_container_gets_every_name_that_the_shipped_routes_read() -> None:
    text = (ROOT / "routes.yaml").read_text()
    read = {name for line in text.splitlines() for name in REFERENCE.findall(COMMENT.sub("", line))}
    written = yaml.safe_load((ROOT / "compose.yaml").read_text())
    given = set(written["services"]["gateway"]["environment"])
    assert given == (read - OF_THE_MACHINE) | OVER_THE_FILE


def test_a_name_without_a_value_is_passed_on_only_where_it_is_set() -> None:
    text = (ROOT / "compose.yaml").read_text()
    bare = composefile.read(text, NEEDED)["services"]["gateway"]["environment"]
    assert "LAGO_URL" not in bare
    given = composefile.read(text, {**NEEDED, "LAGO_URL": "http://billing:3000"})
    assert given["services"]["gateway"]["environment"]["LAGO_URL"] == "http://billing:3000"


def test_it_is_killed_only_after_grace_and_drain_are_over(
    gateway: dict[str, Any], config: Config
) -> None:
    shutdown = config.gateway.shutdown
    margin = 5.0  # to close plugins and write out the logs, on half a processor
    patience = parse_duration(gateway["stop_grace_period"])
    assert patience >= shutdown.grace + shutdown.drain + margin


def test_the_edge_learns_of_the_end_within_the_grace(
    gateway: dict[str, Any], config: Config
) -> None:
    labels = gateway["labels"]
    check = "traefik.http.services.brain.loadbalancer.healthcheck"
    every, longest = (parse_duration(labels[f"{check}.{name}"]) for name in ("interval", "timeout"))
    assert every + longest < config.gateway.shutdown.grace
    page = labels[f"{check}.path"].removeprefix("/")
    assert page == "ready", "/health does not change when a shutdown begins"
    assert page in config.gateway.expose


def test_the_edge_reaches_the_public_listener_on_its_own_network(
    compose: dict[str, Any], gateway: dict[str, Any], config: Config
) -> None:
    labels = gateway["labels"]
    port = labels["traefik.http.services.brain.loadbalancer.server.port"]
    assert port == str(config.gateway.listen.port)
    assert config.gateway.listen.host == "0.0.0.0"
    edge = compose["networks"]["edge"]
    assert labels["traefik.docker.network"] == edge["name"]
    assert edge["external"]
    assert labels["traefik.http.routers.brain.rule"] == f"Host(`{NEEDED['GATEWAY_HOST']}`)"
    # Routers and services are joined by their names: a mistyped one would make a second one.
    named = {key.split(".")[3] for key in labels if key.startswith("traefik.http.")}
    assert named == {"brain"}


def test_only_the_edge_is_believed(config: Config) -> None:
    assert config.gateway.trusted_proxies == (NEEDED["BRAIN_TRUSTED_PROXIES"],)


def test_a_vault_that_is_a_neighbour_is_asked_by_the_name_that_the_environment_has() -> None:
    given = {"VAULT_ADDR": "http://vault:8200", "VAULT_ROLE_ID": "gateway"}
    text = (ROOT / "compose.yaml").read_text()
    made = composefile.read(text, {**NEEDED, **given})["services"]["gateway"]["environment"]
    loaded = load_or_raise([ROOT / "routes.yaml"], environment=made, catalog=Catalog())
    assert loaded.diagnostics == (), "over http to a name of one label there is no warning"
    assert loaded.config is not None
    vault = loaded.config.secrets.vault
    assert vault is not None
    assert (vault.address, vault.auth.role) == ("http://vault:8200", "gateway")


def test_nothing_is_published_and_nothing_may_be_gained(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert "ports" not in service, name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cpus"] <= 0.5, name
        assert service["mem_limit"] == "512m", name


def test_what_is_written_has_a_place_beside_the_read_only_root(
    gateway: dict[str, Any], image: dockerfile.Stage
) -> None:
    (mount,) = gateway["tmpfs"]
    place, _, options = mount.partition(":")
    control = PurePosixPath(environment(image)["BRAIN_CONTROL"])
    assert control.is_relative_to(place)
    user, _, group = image.one("USER").text.partition(":")
    assert {f"uid={user}", f"gid={group}", "mode=0700"} <= set(options.split(","))
    (state,) = [each for each in gateway["volumes"] if each["type"] == "volume"]
    assert f"{place} {state['target']}" in image.all("RUN")[-1].text, "made for the same user"


def environment(image: dockerfile.Stage) -> dict[str, str]:
    return image.one("ENV").pairs


def test_revisions_are_kept_on_the_volume_and_nowhere_without_it(
    gateway: dict[str, Any], config: Config
) -> None:
    (state,) = [each for each in gateway["volumes"] if each["type"] == "volume"]
    assert config.gateway.state_dir == gateway["environment"]["BRAIN_STATE_DIR"] == state["target"]
    alone = load_or_raise([ROOT / "routes.yaml"], environment={}, catalog=Catalog()).config
    assert alone is not None
    assert alone.gateway.state_dir is None, "`make run` leaves no folder in the checkout"


def test_the_routes_are_mounted_as_a_folder(
    gateway: dict[str, Any], image: dockerfile.Stage
) -> None:
    file = PurePosixPath(image.one("CMD").command[-1])
    assert_mounted_to_read(gateway, str(file.parent))


def test_the_secret_id_is_mounted_with_its_folder_and_in_no_variable(
    gateway: dict[str, Any], config: Config
) -> None:
    assert config.secrets.vault is not None
    auth = config.secrets.vault.auth
    assert (auth.method, auth.credential) == ("approle", "")
    assert auth.file is not None
    assert_mounted_to_read(gateway, str(PurePosixPath(auth.file).parent))
    assert "secrets" not in gateway, "Compose gives a secret's file neither an owner nor a mode"


def assert_mounted_to_read(gateway: dict[str, Any], folder: str) -> None:
    """A folder: a mounted file would not follow its replacement."""
    (mount,) = [each for each in gateway["volumes"] if each["target"] == folder]
    assert mount["type"] == "bind"
    assert mount["read_only"] is True
    assert mount["bind"] == {"create_host_path": False}


def test_its_health_is_asked_as_the_image_asks(
    gateway: dict[str, Any], image: dockerfile.Stage
) -> None:
    written, health = image.one("HEALTHCHECK"), gateway["healthcheck"]
    assert health["test"] == ["CMD", *written.command]
    timers = ("interval", "timeout", "start_period", "start_interval")
    assert {name.replace("_", "-"): health[name] for name in timers} | {
        "retries": str(health["retries"])
    } == written.flags


def test_the_tag_is_the_version(gateway: dict[str, Any]) -> None:
    assert gateway["image"] == f"brain-gateway:{VERSION}"
    assert gateway["build"] == "."


def test_prometheus_asks_the_admin_listener_over_a_network_without_a_way_out(
    compose: dict[str, Any], gateway: dict[str, Any]
) -> None:
    prometheus = compose["services"]["prometheus"]
    shared = set(gateway["networks"]) & set(prometheus["networks"])
    assert shared == set(prometheus["networks"]) == {"monitoring"}
    assert compose["networks"]["monitoring"]["internal"] is True
    job = scrape(ROOT / mounted(prometheus)["/etc/prometheus/prometheus.yml"])
    (target,) = job["static_configs"][0]["targets"]
    assert gateway["environment"]["BRAIN_ADMIN"] == target
    assert job["metrics_path"] == "/metrics"


def mounted(service: dict[str, Any]) -> dict[str, str]:
    """Return the files and folders of this one that a service sees, by their place there."""
    binds = [each for each in service["volumes"] if each["type"] == "bind"]
    return {each["target"]: each["source"] for each in binds}


def test_prometheus_finds_every_file_of_rules_that_it_is_told_of(compose: dict[str, Any]) -> None:
    files = mounted(compose["services"]["prometheus"])
    settings = "/etc/prometheus/prometheus.yml"
    named = yaml.safe_load((ROOT / files[settings]).read_text())["rule_files"]
    assert named
    for name in named:
        source = files[str(PurePosixPath(settings).parent / name)]
        assert yaml.safe_load((ROOT / source).read_text())["groups"]


def test_the_admin_listener_is_on_the_inner_network_alone(
    compose: dict[str, Any], gateway: dict[str, Any], config: Config
) -> None:
    inner = compose["networks"]["monitoring"]
    host, _, port = gateway["environment"]["BRAIN_ADMIN"].rpartition(":")
    assert host == gateway["networks"]["monitoring"]["ipv4_address"]
    assert not gateway["networks"]["edge"]
    assert config.gateway.admin is not None
    assert port == str(config.gateway.admin.port)
    (pool,) = inner["ipam"]["config"]
    subnet, others = ip_network(pool["subnet"]), ip_network(pool["ip_range"])
    first = next(subnet.hosts())
    assert ip_address(host) in set(subnet.hosts()) - {first}, "the first is the engine's own"
    assert ip_address(host) not in others, "another container may have taken it"
    assert others.subnet_of(subnet)


def test_another_subnet_moves_the_listener_with_the_address() -> None:
    text = (ROOT / "compose.yaml").read_text()
    moved = {
        "MONITORING_SUBNET": "10.9.0.0/24",
        "MONITORING_RANGE": "10.9.0.128/25",
        "MONITORING_ADDRESS": "10.9.0.5",
    }
    found = composefile.read(text, {**NEEDED, **moved})
    gateway = found["services"]["gateway"]
    assert gateway["environment"]["BRAIN_ADMIN"] == "10.9.0.5:9901"
    assert gateway["networks"]["monitoring"]["ipv4_address"] == "10.9.0.5"
    assert found["networks"]["monitoring"]["ipam"]["config"] == [
        {"subnet": "10.9.0.0/24", "ip_range": "10.9.0.128/25"}
    ]


def scrape(file: Path) -> dict[str, Any]:
    """Return the one job of a Prometheus configuration whose times fit together."""
    written = yaml.safe_load(file.read_text())
    assert set(written) == {"global", "rule_files", "scrape_configs"}
    every, longest = (written["global"][f"scrape_{name}"] for name in ("interval", "timeout"))
    assert parse_duration(longest) < parse_duration(every)
    (job,) = written["scrape_configs"]
    assert set(job) == {"job_name", "metrics_path", "static_configs"}
    found: dict[str, Any] = job
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("read_only: true\n    cap_drop", "readonly: true\n    cap_drop"),
        ("stop_grace_period: 40s", "stop_grace_period: 40"),
        ("cpus: 0.5", 'cpus: "half"'),
        ("networks: {monitoring: {}}", "networks: {monitor: {}}"),
        ("ipv4_address:", "ip_address:"),
        ("source: state", "source: stat"),
    ],
)
def test_a_mistake_in_the_file_is_found(old: str, new: str) -> None:
    text = (ROOT / "compose.yaml").read_text()
    assert old in text
    with pytest.raises(AssertionError):
        composefile.read(text.replace(old, new), NEEDED)

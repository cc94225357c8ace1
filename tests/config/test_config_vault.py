"""The section `secrets.vault`: what comes of it, and that its credential is shown nowhere."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from proxy.config.models import VaultAuth, VaultMount, VaultSecrets
from proxy.config.schema import language
from proxy.config.workers import check_adjusted
from proxy.errors import ConfigError
from proxy.ports.secrets import Keeping

CANARY = "s.canary-5e1f"

TOP = "version: 1\nservices: {crm: {public: true, upstream: http://crm}}\nsecrets:\n  vault:\n"


def loaded(write: Any, *lines: str) -> Any:
    """Return the configuration that has these lines below `secrets.vault`."""
    text = TOP + "".join(f"    {line}\n" for line in lines)
    found = write.text(text, CREDENTIAL=CANARY)
    assert found.config is not None, found.render()
    return found.config


def test_a_token_and_an_address_are_enough(write: Any) -> None:
    vault = loaded(write, "address: https://Vault.Example/x/", "auth: {token: '${CREDENTIAL}'}")
    assert vault.secrets.vault == VaultSecrets(
        "https://vault.example:443/x", VaultAuth("token", credential=CANARY)
    )


def test_the_defaults_are_those_that_the_schema_names(write: Any) -> None:
    vault = loaded(
        write, "address: http://[::1]:8200", "auth: {token: '${CREDENTIAL}'}"
    ).secrets.vault
    assert vault.address == "http://[::1]:8200"
    assert (vault.timeout, vault.mount) == (2.0, VaultMount("secret", "kv2"))
    assert vault.cache == Keeping(60.0, 12 * 3600.0, 5.0, 50_000)
    known = language()["properties"]["secrets"]["properties"]["vault"]["properties"]
    assert known["cache"]["properties"]["most"]["default"] == vault.cache.most


@pytest.mark.parametrize(
    ("auth", "wanted"),
    [
        ("token_file: /run/token", VaultAuth("token_file", file="/run/token")),
        (
            "approle: {role_id: r, secret_id: '${CREDENTIAL}'}",
            VaultAuth("approle", "approle", "r", credential=CANARY),
        ),
        (
            "approle: {role_id: r, secret_id_file: /run/id, wrapped: true, mount: a/b}",
            VaultAuth("approle", "a/b", "r", "/run/id", wrapped=True),
        ),
        (
            "kubernetes: {role: r}",
            VaultAuth(
                "kubernetes",
                "kubernetes",
                "r",
                "/var/run/secrets/kubernetes.io/serviceaccount/token",
            ),
        ),
        ("jwt: {role: r, jwt_file: /run/jwt}", VaultAuth("jwt", "jwt", "r", "/run/jwt")),
    ],
)
def test_each_way_to_log_in(write: Any, auth: str, wanted: VaultAuth) -> None:
    assert loaded(write, "address: http://vault", f"auth: {{{auth}}}").secrets.vault.auth == wanted


def test_a_file_is_sought_beside_the_one_that_names_it(write: Any) -> None:
    config = loaded(write, "address: http://vault", "auth: {token_file: token}")
    assert config.secrets.vault.auth.file == str(Path(config.watched[0]).parent / "token")


def test_a_mount_has_the_namespace_of_the_section_unless_it_names_one(write: Any) -> None:
    vault = loaded(
        write,
        "address: http://vault",
        "auth: {token: '${CREDENTIAL}'}",
        "namespace: team-a",
        "engine: kv1",
        "mounts:",
        "  database: {engine: dynamic}",
        "  pki: {engine: pki, namespace: team-b, parameters: {common_name: gw, ttl: 1h}}",
        "cache: {fresh: 10s, most: 9}",
    ).secrets.vault
    assert vault.mount == VaultMount("secret", "kv1", "team-a")
    assert vault.mounts == (
        VaultMount("database", "dynamic", "team-a"),
        VaultMount("pki", "pki", "team-b", {"common_name": "gw", "ttl": "1h"}),
    )
    assert (vault.cache.fresh, vault.cache.stale_if_error, vault.cache.most) == (10.0, 43200.0, 9)


@pytest.mark.parametrize(
    "auth", ["token: '${CREDENTIAL}'", "approle: {role_id: r, secret_id: '${CREDENTIAL}'}"]
)
def test_a_credential_is_in_nothing_that_is_shown(write: Any, auth: str) -> None:
    config = loaded(write, "address: http://vault", f"auth: {{{auth}}}")
    shown = (repr(config), str(config), config.effective, config.revision, str(config.texts))
    assert CANARY not in " ".join(shown)
    assert CANARY not in json.dumps(config.secrets.settings)
    assert "${CREDENTIAL}" in config.effective
    again = pickle.loads(pickle.dumps(config)).secrets.vault
    assert again.auth.credential == CANARY  # a reload is read in another process


def test_what_is_compared_is_all_but_the_credential(write: Any) -> None:
    lines = "address: http://vault", "auth: {approle: {role_id: r, secret_id: '${CREDENTIAL}'}}"
    settings = loaded(write, *lines, "mounts: {pki: {engine: pki}}").secrets.settings["vault"]
    assert settings["auth"] == {"approle": {"mount": "approle", "role": "r"}}
    assert settings["mounts"] == {"pki": {"engine": "pki"}}
    assert (settings["mount"], settings["engine"]) == ("secret", "kv2")
    assert settings.keys() >= {"address", "namespace", "ca", "timeout", "cache"}


def test_more_workers_from_the_command_line_do_not_open_one_wrapper(write: Any) -> None:
    auth = "auth: {approle: {role_id: r, secret_id_file: /run/id, wrapped: true}}"
    config = loaded(write, "address: http://vault", auth)
    check_adjusted(config)
    more = dataclasses.replace(config, gateway=dataclasses.replace(config.gateway, workers=2))
    with pytest.raises(ConfigError, match="each of 2 workers would open the wrapped secret_id"):
        check_adjusted(more)

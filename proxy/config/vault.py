"""The section `secrets.vault`: what its schema can't say, and the values that come of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from proxy.config.addresses import parse_url
from proxy.config.codes import Code
from proxy.config.models import VaultAuth, VaultMount, VaultSecrets
from proxy.config.settings import block_schema, converted
from proxy.config.tree import Path, Scalar, find
from proxy.config.work import Work
from proxy.ports.secrets import Keeping

_VAULT = ("secrets", "vault")
_AUTH = (*_VAULT, "auth")
_LONGEST = 30.0
_FROM_ENVIRONMENT = re.compile(r"[\"']?\$\{([A-Z_][A-Z0-9_]*)\}[\"']?")


def compile_vault(work: Work) -> VaultSecrets | None:
    """Return the store, None where the file has none that can be used."""
    given = work.get(*_VAULT)
    if not isinstance(given, dict) or work.get(*_AUTH) is None:
        return None
    # Each of these reports what is wrong with its own part.
    auth = _auth(work, given["auth"])
    address = _address(work, given["address"])
    settings = converted(block_schema(*_VAULT), {"timeout": given.get("timeout", "2s")})
    if settings["timeout"] > _LONGEST:
        message = "'secrets.vault.timeout': expected at most 30s"
        work.report.error(Code.WRONG_VALUE, message, work.value(*_VAULT, "timeout"))
    namespace = given.get("namespace", "")
    each = given.get("mounts", {}).items()
    mounts = tuple(_mount(work, name, of_one, namespace) for name, of_one in each)
    ca = work.file((*_VAULT, "ca"), given["ca"]) if "ca" in given else None
    if auth is None:
        return None
    return VaultSecrets(
        address,
        auth,
        namespace,
        ca,
        settings["timeout"],
        VaultMount(given.get("mount", "secret"), given.get("engine", "kv2"), namespace),
        mounts,
        _cache(given.get("cache", {})),
    )


def _address(work: Work, text: str) -> str:
    """Return the address as it is sent: a URL that changes when it is sent is not sent at all."""
    target, base = parse_url(text)
    host = f"[{target.host}]" if ":" in target.host else target.host.lower()
    if target.scheme == "http" and not _is_here(target.host):
        message = f"the token and all secrets can be read on their way to {target.host}"
        span = work.value(*_VAULT, "address")
        work.report.warn(Code.STORE_IN_CLEAR, message, span, "use https")
    return f"{target.scheme}://{host}:{target.port}{base}"


def _is_here(host: str) -> bool:
    """Say whether a host is this machine, or one that the network beside it names."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return "." not in host.removesuffix(".")


def _mount(work: Work, name: str, given: Mapping[str, Any], namespace: str) -> VaultMount:
    engine, parameters = given.get("engine", "kv2"), given.get("parameters", {})
    if parameters and engine != "pki":
        path = (*_VAULT, "mounts", name, "parameters")
        message = f"mount '{name}': '{engine}' takes no 'parameters'"
        work.report.error(Code.WRONG_VALUE, message, work.key(*path), "they are for 'engine: pki'")
    return VaultMount(name, engine, given.get("namespace", namespace), dict(parameters))


def _cache(given: Mapping[str, Any]) -> Keeping:
    schema = block_schema(*_VAULT, "cache")
    defaults = {key: below["default"] for key, below in schema["properties"].items()}
    return Keeping(**converted(schema, {**defaults, **given}))


# -- how it logs in


def _auth(work: Work, given: Mapping[str, Any]) -> VaultAuth | None:
    known = block_schema(*_AUTH)["properties"]
    method = next((key for key in given if key in known), None)
    if method is None:
        return None
    value = given[method]
    if method == "token":
        return _of_value(work, VaultAuth(method), (*_AUTH, method), value)
    if method == "token_file":
        return VaultAuth(method, file=work.relative((*_AUTH, method), value))
    at = (*_AUTH, method)
    schema = block_schema(*at)["properties"]
    mount = value.get("mount", schema["mount"]["default"])
    if method == "approle":
        return _approle(work, value, mount)
    file = value.get("jwt_file", schema["jwt_file"].get("default"))
    return VaultAuth(method, mount, value["role"], work.relative((*at, "jwt_file"), file))


def _approle(work: Work, given: Mapping[str, Any], mount: str) -> VaultAuth | None:
    at = (*_AUTH, "approle")
    if ("secret_id" in given) == ("secret_id_file" in given):
        message = "'secrets.vault.auth.approle' needs one of 'secret_id_file' and 'secret_id'"
        hint = "write secret_id_file: /run/secrets/vault-secret-id"
        work.report.error(Code.MISSING_KEY, message, work.key(*at), hint)
        return None
    wrapped = given.get("wrapped", False)
    if "secret_id" in given:
        if wrapped:
            message = "'wrapped' is for a wrapping token in 'secret_id_file'"
            work.report.error(Code.WRONG_VALUE, message, work.key(*at, "wrapped"))
        auth = VaultAuth("approle", mount, given["role_id"])
        return _of_value(work, auth, (*at, "secret_id"), given["secret_id"])
    file = work.relative((*at, "secret_id_file"), given["secret_id_file"])
    return VaultAuth("approle", mount, given["role_id"], file, wrapped=wrapped)


def _of_value(work: Work, auth: VaultAuth, path: Path, credential: str) -> VaultAuth | None:
    """Return `auth` with a credential, which must come from the environment whole."""
    name = path[-1]
    node = find(work.root, path)
    if not isinstance(node, Scalar) or not _FROM_ENVIRONMENT.fullmatch(node.text):
        message = f"'{name}' of secrets.vault: a credential does not stand in the file"
        hint = f"write ${{VAULT_{str(name).upper()}}} and set that, or name a file by '{name}_file'"
        work.report.error(Code.WRONG_VALUE, message, work.value(*path), hint)
        return None
    if not credential.isascii() or not credential.isprintable() or " " in credential:
        message = f"'{name}' of secrets.vault: the environment does not give one word"
        work.report.error(Code.WRONG_VALUE, message, work.value(*path))
        return None
    return replace(auth, credential=credential)

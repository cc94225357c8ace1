"""A reader of compose files: interpolation, and the keys that the Compose Specification knows.

It follows https://github.com/compose-spec/compose-spec: the tables hold the keys that ours uses,
with the form of their values, so that a mistyped or misplaced key is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"\$(?:(\$)|({_NAME})|\{{({_NAME})(?:(:[-?])([^}}]*))?\}})")
_DURATION = re.compile(r"(?:\d+h)?(?:\d+m)?(?:\d+s)?")
_SIZE = re.compile(r"\d+[bkmg]")

Form = Mapping[str, "Form"] | type | re.Pattern[str] | list["Form"]
"""What a value must be: a mapping of known keys, a type, a text of a form, a list of one form.

The key `*` of a mapping stands for any name.
"""

_MOUNT: Form = {
    "type": re.compile("bind|volume"),
    "source": str,
    "target": re.compile("/.+"),
    "read_only": bool,
    "bind": {"create_host_path": bool},
}
_SERVICE: Form = {
    "image": str,
    "build": str,
    "init": bool,
    "restart": re.compile("no|always|on-failure|unless-stopped"),
    "stop_grace_period": _DURATION,
    "read_only": bool,
    "cap_drop": [re.compile("[A-Z_]+")],
    "security_opt": [str],
    "cpus": float,
    "mem_limit": _SIZE,
    "memswap_limit": _SIZE,
    "pids_limit": int,
    "ulimits": {"nofile": int},
    "environment": {"*": str},
    "tmpfs": [str],
    "volumes": [_MOUNT],
    "networks": {"*": {"ipv4_address": str}},
    "healthcheck": {
        "test": [str],
        "interval": _DURATION,
        "timeout": _DURATION,
        "retries": int,
        "start_period": _DURATION,
        "start_interval": _DURATION,
    },
    "logging": {"driver": str, "options": {"*": str}},
    "labels": {"*": str},
}
FORM: Form = {
    "services": {"*": _SERVICE},
    "networks": {
        "*": {
            "name": str,
            "external": bool,
            "internal": bool,
            "ipam": {"config": [{"subnet": str, "ip_range": str}]},
        }
    },
    "volumes": {"*": {}},
}


class Missing(Exception):
    """A variable that the file demands is not set; its text is the file's message."""


def read(text: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the file as Compose takes it. Raises Missing; AssertionError for what is no such file."""
    found = _interpolated(yaml.safe_load(text), environment)
    _check(found, FORM, "the file")
    for name, service in found["services"].items():
        given = service.get("environment", {})
        service["environment"] = {
            key: environment.get(key) if value is None else value
            for key, value in given.items()
            if value is not None or key in environment
        }
        for network in service["networks"]:
            assert network in found["networks"], f"{name}: there is no network {network}"
        for mount in service["volumes"]:
            assert mount["type"] == "bind" or mount["source"] in found["volumes"], mount
    return found


def _interpolated(value: Any, environment: Mapping[str, str]) -> Any:
    """Put variables into values; keys stay as they are."""
    if isinstance(value, dict):
        return {key: _interpolated(below, environment) for key, below in value.items()}
    if isinstance(value, list):
        return [_interpolated(below, environment) for below in value]
    if not isinstance(value, str):
        return value
    return _REFERENCE.sub(lambda found: _value(found, environment), value)


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    if found[1]:
        return "$"
    name, operator, rest = found[2] or found[3], found[4], found[5]
    value = environment.get(name, "")
    if value or operator is None:
        return value
    if operator == ":?":
        raise Missing(f"{name}: {rest}")
    return rest


def _check(value: Any, form: Form, place: str) -> None:
    if isinstance(form, Mapping):
        assert isinstance(value, dict) or (value is None and not form), f"{place}: no mapping"
        for key, below in (value or {}).items():
            known = form.get(key, form.get("*"))
            assert known is not None, f"{place}: unknown key {key}"
            if below is not None or known is not str:  # an environment's name without a value
                _check(below, known, f"{place}.{key}")
    elif isinstance(form, list):
        assert isinstance(value, list), f"{place}: no list"
        for at, below in enumerate(value):
            _check(below, form[0], f"{place}.{at}")
    elif isinstance(form, type):
        assert type(value) is form, f"{place}: {value!r} is no {form.__name__}"
    else:
        assert isinstance(value, str), f"{place}: {value!r} is no text"
        assert form.fullmatch(value), f"{place}: {value!r}"

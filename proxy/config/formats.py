"""The formats of routes.schema.json: what a text must look like beyond being a text.

A check gets the schema and the value and raises ValueError with the accepted form. It must accept
values of other types, since `type` speaks of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from proxy.config import addresses
from proxy.config.models import Exposure, Policy
from proxy.config.patterns import parse_pattern
from proxy.config.pointers import parse_pointer
from proxy.plugin.options import OPTION_FORMATS, convert_text
from proxy.plugin.references import SECRET_KEY
from proxy.ports.secrets import PATH_FORM, is_path

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_ROUTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,127}")
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_HOST_VALUE = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

MAX_NAME = 63
SERVICE_PREFIX = "service/"
_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})


def check_format(schema: Mapping[str, Any], value: Any) -> None:
    """Raise ValueError unless `value` has the schema's format; one that nobody knows passes."""
    name = schema["format"]
    check = _CHECKS.get(name)
    if check is not None:
        check(value)
    elif isinstance(value, str):
        convert_text(schema, value)


def _text(check: Callable[[str], object]) -> Callable[[Any], None]:
    def on_text(value: Any) -> None:
        if isinstance(value, str):
            check(value)

    return on_text


def _pattern(pattern: re.Pattern[str], expected: str) -> Callable[[Any], None]:
    def check(value: str) -> None:
        if not pattern.fullmatch(value):
            raise ValueError(f"expected {expected}")

    return _text(check)


def _admin(value: Any) -> None:
    if value is True:
        raise ValueError("expected an address and port, or 'off'")
    if isinstance(value, str) and value != "off":
        addresses.parse_listen(value)


def _exposure(value: str) -> None:
    if value in {known.value for known in Exposure}:
        return
    try:
        for network in value.split(","):
            addresses.parse_network(network)
    except ValueError:
        raise ValueError("expected 'any', 'private' or a list of networks") from None


def _base_path(value: str) -> None:
    addresses.check_path(value)
    if value != "/" and value.endswith("/"):
        raise ValueError("expected a path without a slash at its end")


def _service_name(value: str) -> None:
    if not _NAME.fullmatch(value) or len(value) > MAX_NAME:
        raise ValueError(f"expected lower-case letters, digits and '-', at most {MAX_NAME}")


def _upstream(value: str) -> None:
    if value.startswith(SERVICE_PREFIX):
        _service_name(value.removeprefix(SERVICE_PREFIX))
    else:
        addresses.parse_url(value)


def _alias(value: str) -> None:
    if not value.startswith("/"):
        _service_name(value)
    elif value == "/":
        raise ValueError("expected a name or a prefix such as /crm; the 'fallback' takes the rest")
    else:
        _base_path(value)


def _method(value: str) -> None:
    if value.upper() in _REFUSED_METHODS:
        raise ValueError(f"{value.upper()} is never served")
    if not _METHOD.fullmatch(value):
        raise ValueError("expected a method in capitals such as GET")


def _upstream_path(value: str) -> None:
    addresses.check_path(value)


def _chain_entry(value: Any) -> None:
    if not isinstance(value, dict):
        return
    names = [name for name in value if name not in {"as", "use", "with"}]
    if "use" in value and names:
        raise ValueError(f"an entry has either 'use' or a plugin's name, not both ('{names[0]}')")
    if "use" not in value and len(names) != 1:
        raise ValueError("an entry names one plugin: {name: options}")
    if "with" in value and "use" not in value:
        raise ValueError("'with' stands beside 'use' only")


def _forward_cookies(value: str) -> None:
    if value not in {"all", "none"}:
        raise ValueError("expected 'all', 'none' or a list of cookie names")


def _balance(value: str) -> None:
    known = [policy.value for policy in Policy]
    if value not in known:
        raise ValueError(f"expected one of {', '.join(known)}")


def _hash_key(value: str) -> None:
    if value != "address":
        raise ValueError("expected 'address', {header: NAME}, {cookie: NAME} or {claim: NAME}")


def _vault_address(value: str) -> None:
    try:
        addresses.parse_url(value)
    except ValueError:
        form = "the address of the API, such as https://vault.internal:8200"
        raise ValueError(f"expected {form}, without user, query and fragment") from None


def _vault_path(value: str) -> None:
    if not is_path(value):
        raise ValueError(f"expected {PATH_FORM}")


def _mirror(value: Any) -> None:
    if value is True:
        raise ValueError("expected a mapping with 'upstream' and 'share', or false for none")


def _anything(_value: Any) -> None:
    pass


_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "listen": _text(addresses.parse_listen),
    "admin": _admin,
    "exposure": _text(_exposure),
    "network": _text(addresses.parse_network),
    "base-path": _text(_base_path),
    "service-name": _text(_service_name),
    "upstream": _text(_upstream),
    "upstream-url": _text(addresses.parse_url),
    "upstream-path": _text(_upstream_path),
    "alias": _text(_alias),
    "route-name": _pattern(_ROUTE_NAME, "letters, digits and '_', '.', '/', '-'"),
    "path-pattern": _text(parse_pattern),
    "method": _text(_method),
    "host-name": _text(addresses.check_host),
    "match-host": _text(lambda value: addresses.check_host(value.removeprefix("*."))),
    "host-value": _pattern(_HOST_VALUE, "'preserve' or a host such as example.com:8080"),
    "header-name": _pattern(_TOKEN, "a header name"),
    "cookie-name": _pattern(_TOKEN, "a cookie's name"),
    "chain-entry": _chain_entry,
    "balance": _text(_balance),
    "hash-key": _text(_hash_key),
    "health": _text(addresses.check_path),
    "mirror": _mirror,
    "json-pointer": _text(parse_pointer),
    "identity": _text(_service_name),
    "python-reference": _pattern(_REFERENCE, "module:attr"),
    "forward-cookies": _text(_forward_cookies),
    "vault-address": _text(_vault_address),
    "vault-path": _text(_vault_path),
    SECRET_KEY: _anything,  # its type says that it is a mapping
}

KNOWN_FORMATS = frozenset({*_CHECKS, *OPTION_FORMATS})
"""All that check or convert anything: a plugin's schema that names another one hopes in vain."""

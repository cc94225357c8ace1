"""What the schema can't say of the option `oauth`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from proxy import Problems, SecretPath

MOST_WAIT = 20.0
"""Seconds that a request may wait: what holds it holds its connection."""

_OURS = frozenset({"grant_type", "client_id", "client_secret", "refresh_token", "scope"})


def check_oauth(given: Mapping[str, Any], problems: Problems) -> None:
    """Report an address that secrets can't be sent to, and what would hold too long."""
    _check_address(given["token_url"], problems)
    client: SecretPath | None = given.get("client")
    if client is not None and not client.literal:
        problems.add("oauth.client", "the app is the same for all", hint="name a path without ${…}")
    for name in sorted(_OURS & given["parameters"].keys()):
        problems.add(f"oauth.parameters.{name}", f"the gateway says itself what '{name}' is")
    if given["timeout"] > MOST_WAIT:
        problems.add("oauth.timeout", f"a request waits {MOST_WAIT:.0f}s at most")


def _check_address(url: str, problems: Problems) -> None:
    option = "oauth.token_url"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", 0
    if not host or port == 0:
        problems.add(option, "expected a URL such as https://oauth2.googleapis.com/token")
    elif parts.scheme == "http" and not _is_here(host):
        problems.add(
            option, "the client's secret could be read on its way over plain http", hint="use https"
        )


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine, or one that the network beside it names."""
    if re.fullmatch(r"[a-z0-9-]+", host) and not host.isdecimal():
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

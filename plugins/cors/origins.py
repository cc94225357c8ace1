"""Which origins are meant by a list in the file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxy import Problems

_LISTED = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:\*\.)?(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
)
_BELOW = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_DEFAULT_PORT = re.compile(r"http://.*:80|https://.*:443")


class Origins:
    """Exact origins, subdomains of some, or all.

    They are compared as text: browsers write scheme and host in lower case and leave the default
    port out (RFC 6454, 6.2). `null`, which any sandboxed page sends, is none of `*`.
    """

    def __init__(self, listed: Sequence[str]) -> None:
        self.listed = tuple(listed)
        self.all = "*" in listed
        self._exact = frozenset(origin for origin in listed if "*" not in origin)
        self._below = tuple(
            (scheme + "://", "." + host)
            for scheme, _, host in (origin.partition("://*.") for origin in listed)
            if host
        )

    def __bool__(self) -> bool:
        return bool(self.listed)

    def allow(self, origin: str) -> bool:
        if origin in self._exact:
            return True
        return (self.all and origin != "null") or any(
            _is_below(origin, scheme, domain) for scheme, domain in self._below
        )

    def check(self, problems: Problems) -> None:
        if self.all and len(self.listed) > 1:
            problems.add("origins", "'*' already means all the others")
        for index, origin in enumerate(self.listed):
            if origin not in ("*", "null"):
                _check_listed(origin, f"origins.{index}", problems)


def _is_below(origin: str, scheme: str, domain: str) -> bool:
    # What stands between must be labels only: "https://evil.com/.example.com" ends well, too.
    return (
        origin.startswith(scheme)
        and origin.endswith(domain)
        and _BELOW.fullmatch(origin, len(scheme), len(origin) - len(domain)) is not None
    )


def _check_listed(origin: str, option: str, problems: Problems) -> None:
    if not _LISTED.fullmatch(origin):
        problems.add(
            option,
            "this is no origin, and no browser sends it so",
            hint="write scheme, host and, if it is not the scheme's own, the port, in lower case "
            "and with no slash at the end: https://app.example.com",
        )
    elif _DEFAULT_PORT.fullmatch(origin):
        problems.add(option, "browsers leave the scheme's own port out", hint="leave it out here")
    elif "://*." in origin and "." not in origin.partition("://*.")[2]:
        problems.warn(option, "this lets in every site under a top-level domain")

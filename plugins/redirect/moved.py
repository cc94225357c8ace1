"""A new place for what a route, or a path, had."""

from __future__ import annotations

import re

from aiohttp import web

from plugins.redirect.urls import asked, escaped, public_prefix
from proxy import EXCHANGE, Exchange, GatewayError, Problems, Template, render

_NAME = re.compile(r"\$\{[^}]*\}")
_URI = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*")
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_CLIMBS = re.compile(r"/(?:\.|%2E){1,2}(?:/|$)", re.IGNORECASE)
"""A dot segment; browsers read it in its encoded spelling too."""


class Moved:
    """Leads to what `to` says, for all requests or for those below `prefix`.

    Values of the client are percent-encoded, and stand behind the authority: `check` sees to that.
    """

    def __init__(self, to: Template, prefix: str | None, *, keep_query: bool) -> None:
        self._to = to
        self._prefix = None if prefix is None else prefix.rstrip("/")
        self._keep_query = keep_query

    def __str__(self) -> str:
        behind = "" if self._prefix is None else f" and what follows {self._prefix or '/'}"
        return self._to.text + behind

    # -- at load

    def check(self, problems: Problems) -> None:
        text = self._to.text
        if not _URI.fullmatch(_NAME.sub("", text)) or "$${" in text:
            problems.add("to", "this is no URL: percent-encode what may not stand in one")
        elif text[:1] == "/":
            self._check_path(text, problems)
        else:
            _check_url(text, problems)
        if self._prefix is not None and re.search("[?#]", _NAME.sub("", text)):
            problems.add("to", "with 'prefix', 'to' ends with its path")

    def _check_path(self, text: str, problems: Problems) -> None:
        if text[1:2] == "/":
            problems.add("to", "'//' begins a host, not a path", hint="write https://host/path")
        elif _CLIMBS.search(_path_of(text)):
            problems.add("to", "a path with '.' or '..' segments leads elsewhere than it says")
        elif self._prefix is not None and f"{text.rstrip('/')}/".startswith(f"{self._prefix}/"):
            problems.warn(
                "to",
                f"this lies below the prefix '{self._prefix or '/'}' itself: clients run in circles",
            )

    # -- on the way of a request

    def concerns(self, exchange: Exchange) -> bool:
        """Tell whether a request is not outside of `prefix`."""
        prefix, path = self._prefix, exchange.path
        return prefix is None or path == prefix or path.startswith(prefix + "/")

    def location(self, request: web.BaseRequest) -> str:
        """Return where to send a client that this concerns.

        Raises GatewayError: `value_missing` and `value_invalid` (400) for the client's values,
        `loop_detected` (508) for a place that is the request's own.
        """
        exchange = request[EXCHANGE]
        path, query = asked(request)
        rest = escaped(self._rest(path))
        location = self._joined(_rendered(self._to, request), rest, query)
        if location[:2] == "//":
            # An empty value between two slashes would make a host of what follows.
            raise GatewayError("value_invalid", log="a value makes a host of the redirect's path")
        client = exchange.client
        own = escaped(public_prefix(request, client) + path + query)
        if location in (own, f"{client.scheme}://{client.host}{own}"):
            raise GatewayError(
                "loop_detected",
                "This redirect leads back to itself.",
                log=f"the redirect to {self._to.text} leads back to itself",
            )
        return location

    def _rest(self, raw: str) -> str:
        """Return what follows the prefix in the raw path.

        By segments: the prefix may have been sent percent-encoded.
        """
        if self._prefix is None:
            return ""
        segments = raw.split("/")[1 + self._prefix.count("/") :]
        return "".join(f"/{segment}" for segment in segments)

    def _joined(self, place: str, rest: str, query: str) -> str:
        place, hash_mark, fragment = place.partition("#")
        if rest:
            place = place.rstrip("/") + rest
        if self._keep_query and len(query) > 1:
            place += ("&" if "?" in place else "?") + escaped(query[1:])
        return place + hash_mark + fragment


def _check_url(text: str, problems: Problems) -> None:
    host = _URL.match(text)
    if host is None:
        problems.add(
            "to",
            "expected a path, or http:// or https:// and a host",
            hint="write /new, or https://example.com/new; no value may stand in the host",
        )
    elif text[host.end() :] and text[host.end()] not in "/?#":
        # A value here would be part of the host, and anybody's site could be meant.
        problems.add("to", "only a path, a query or a fragment may follow the host")
    elif _CLIMBS.search(_path_of(text[host.end() :])):
        problems.add("to", "a path with '.' or '..' segments leads elsewhere than it says")


def _path_of(text: str) -> str:
    return re.split("[?#]", text, maxsplit=1)[0]


def _rendered(to: Template, request: web.BaseRequest) -> str:
    """Return the place with its values. Raises GatewayError for values that make it another one."""
    place = render(to, request, quote=True).replace("%2D", "-")
    if not to.literal and _CLIMBS.search(_path_of(place)):
        raise GatewayError("value_invalid", log="a value leads out of the redirect's place")
    return place

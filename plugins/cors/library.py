"""Driving aiohttp-cors with no application around it.

aiohttp-cors decides what a preflight gets and which headers an answer gets. It expects an
application with routes and asks a router adapter about them; here one policy stands in for all
routes, and nothing of the application runs but the signal that aiohttp-cors listens on.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from aiohttp import hdrs, web
from aiohttp_cors import CorsConfig, ResourceOptions
from aiohttp_cors.abc import AbstractRouterAdapter
from multidict import CIMultiDict

from plugins.cors.origins import Origins

Config = Mapping[str, ResourceOptions]
Preflight = Callable[[web.BaseRequest], Awaitable[web.Response]]

_LIST = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")

REQUEST_METHOD = "Access-Control-Request-Method"
REQUEST_HEADERS = "Access-Control-Request-Headers"


class Collected:
    """Stands where a response would: takes headers, and leaves the answer's own on their raw way.

    aiohttp-cors asserts that no access control headers are there yet; here none ever are.
    """

    def __init__(self) -> None:
        self.headers: CIMultiDict[str] = CIMultiDict()


class Asked:
    """Stands where a request would: of one that is no preflight only the origin is looked at."""

    method = hdrs.METH_GET

    def __init__(self, origin: str) -> None:
        self.headers = {hdrs.ORIGIN: origin}


class OnePolicy(AbstractRouterAdapter):
    """Answers what aiohttp-cors asks of a router: this policy, for every request."""

    preflight: Preflight

    def __init__(self, origins: Origins, methods: frozenset[str]) -> None:
        self._origins = origins
        self._methods = methods
        self._config: Config = {}

    def add_preflight_handler(
        self, routing_entity: Any, handler: Preflight, webview: bool = False
    ) -> None:
        self.preflight = handler

    def set_config_for_routing_entity(self, routing_entity: Any, config: Config) -> None:
        self._config = config

    def is_preflight_request(self, request: web.BaseRequest) -> bool:
        return request.method == "OPTIONS" and REQUEST_METHOD in request.headers

    def is_cors_enabled_on_request(self, request: web.BaseRequest) -> bool:
        return True

    def lets_in(self, origin: str, method: str) -> bool:
        return method in self._methods and self._origins.allow(origin)

    async def get_preflight_request_config(
        self, preflight_request: web.BaseRequest, origin: str, requested_method: str
    ) -> Config:
        """Return the policy; KeyError refuses. The library echoes the names: let only names by."""
        if requested_method not in self._methods:
            raise KeyError(requested_method)
        asked = preflight_request.headers.get(REQUEST_HEADERS, "").strip()
        if asked and not _LIST.fullmatch(asked):
            raise KeyError(REQUEST_HEADERS)
        return self._config_for(origin)

    def get_non_preflight_request_config(self, request: web.BaseRequest) -> Config:
        return self._config_for(request.headers.get("Origin", ""))

    def _config_for(self, origin: str) -> Config:
        return self._config if self._origins.allow(origin) else {}


class Library:
    """aiohttp-cors under one policy."""

    def __init__(self, origins: Origins, methods: frozenset[str], options: ResourceOptions) -> None:
        self._policy = OnePolicy(origins, methods)
        application = web.Application()
        config = CorsConfig(application, router_adapter=self._policy)
        # "*" is the library's word for "no other entry": the policy has judged the origin then.
        config.add(self, {"*": options})
        self._prepare = application.on_response_prepare
        self._prepare.freeze()

    def lets_in(self, origin: str, method: str) -> bool:
        """Tell whether a page of `origin` may send `method` here."""
        return self._policy.lets_in(origin, method)

    def is_preflight(self, request: web.BaseRequest) -> bool:
        return self._policy.is_preflight_request(request)

    async def answer_preflight(self, request: web.BaseRequest) -> Mapping[str, str]:
        """Return the headers of a preflight's answer. Raises HTTPForbidden to refuse it."""
        return (await self._policy.preflight(request)).headers

    def headers_for(self, origin: str) -> Mapping[str, str]:
        """Return the headers that an answer to a page of `origin` gets; none for a foreign one.

        The library's coroutine waits for nothing, so one step is all of it: its answer is known at
        once, and callers may keep it.
        """
        asked, collected = Asked(origin), Collected()
        step = self._prepare.send(cast(web.Request, asked), cast(web.StreamResponse, collected))
        try:
            step.send(None)
        except StopIteration:
            return collected.headers
        raise RuntimeError("aiohttp-cors waits for something")

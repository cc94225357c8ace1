"""The plugin that refuses by address."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar

from aiohttp import web

from plugins.ip_filter.networks import Networks, address_of, network_of
from plugins.ip_filter.options import SCHEMA
from proxy import EXCHANGE, Answer, Exchange, GatewayError, Handler, Plugin, Problems, Stage

MOST_VERDICTS = 4096
"""Addresses whose verdict is remembered: whoever has a network of IPv6 has more than enough."""


class IpFilter(Plugin):
    """Lets addresses in that no `deny` names and, where there is an `allow`, that names them.

    `deny` wins however exactly `allow` names an address: a network that is found to be hostile is
    shut out by one line, whatever else the file says. What is no address is let in by nothing.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    stage = Stage.GUARD

    def __init__(
        self, *, allow: Sequence[str] | None = None, deny: Sequence[str] | None = None
    ) -> None:
        self._written = allow, deny
        self._allow = None if allow is None else Networks(map(network_of, allow))
        self._deny = Networks(map(network_of, deny or ()))
        self._verdicts: dict[str, bool] = {}

    def check(self, problems: Problems) -> None:
        for index, text in enumerate(self._written[0] or ()):
            if self._deny.contain_all_of(network_of(text)):
                problems.add(
                    f"allow.{index}",
                    f"{text} can never call: 'deny' names all of it, and wins",
                    hint="remove it from one of the two",
                )

    def admits(self) -> str:
        allow, deny = self._written
        told = [] if allow is None else [f"from {_listed(allow)}"]
        told += [f"not from {_listed(deny)}"] if deny else []
        return ", ".join(told) or "from anywhere"

    def explain(self, exchange: Exchange) -> list[str]:
        address = exchange.client.address
        verdict = "may call" if self._judge(address) else "is refused with 403 address_refused"
        return [f"lets callers in {self.admits()}", f"{address} {verdict}"]

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        address = request[EXCHANGE].client.address
        verdict = self._verdicts.get(address)
        if verdict is None:
            verdict = self._remembered(address)
        if not verdict:
            raise GatewayError("address_refused")
        return handler(request)

    def _remembered(self, address: str) -> bool:
        verdicts = self._verdicts
        if len(verdicts) >= MOST_VERDICTS:
            del verdicts[next(iter(verdicts))]
        verdict = verdicts[address] = self._judge(address)
        return verdict

    def _judge(self, text: str) -> bool:
        address = address_of(text)
        if address is None or address in self._deny:
            return False
        return self._allow is None or address in self._allow


def _listed(networks: Sequence[str]) -> str:
    most = 3
    more = f" and {len(networks) - most} more" if len(networks) > most else ""
    return f"{', '.join(networks[:most])}{more}"

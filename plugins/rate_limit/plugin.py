"""The plugin that limits how often callers may call."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from aiohttp import web

from plugins.rate_limit.counts import Counts
from plugins.rate_limit.keys import after_authentication, key_of
from plugins.rate_limit.memory import Memory
from plugins.rate_limit.options import SCHEMA
from plugins.rate_limit.plans import REFUSE, plan_of
from plugins.rate_limit.policy import Policy, policy_of
from plugins.rate_limit.windows import Window, windows_of
from proxy import (
    EXCHANGE,
    Answer,
    Exchange,
    GatewayError,
    Handler,
    Plugin,
    PluginContext,
    Problems,
    Stage,
    Store,
    Template,
    Unavailable,
)


class RateLimit(Plugin):
    """Counts requests by key, in this process or in a store that all gateways share.

    What it decides in this process costs no coroutine: the answer is marked once it is there.
    """

    schema: ClassVar[Mapping[str, Any]] = SCHEMA
    stage = Stage.GUARD
    per_worker: str | None = "counts of callers"

    def __init__(
        self,
        *,
        key: str | Template,
        ipv6_prefix: int,
        max_keys: int,
        on_store_error: str,
        local_share: float,
        limits: Any = None,
        plans: Mapping[str, Any] | None = None,
        store: Mapping[str, Any] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._windows = () if limits is None else windows_of(limits)
        self._plans = plans
        self._by = key.text if isinstance(key, Template) else key
        self._key_of = key_of(key, ipv6_prefix)
        self._max_keys = max_keys
        self._ipv6_prefix = ipv6_prefix
        self._option = store
        self._on_store_error = on_store_error
        self._local_share = local_share
        self._now = now
        self._store: Store | None = None
        self._counts = Counts()
        self._identity = ""
        self._policies: Mapping[str, Policy] = {}
        self._only: Policy | None = None
        self._policy_of: Callable[[Exchange], Policy] = _none_yet
        if plans is not None or after_authentication(key):
            self.stage = Stage.AUTHORIZE
        if store is not None:
            self.per_worker = None

    def check(self, problems: Problems) -> None:
        if not self._windows and self._plans is None:
            problems.add("key", "it needs 'limits' or 'plans': how many requests of each key")
        if self._local_share == 0:
            problems.add("local_share", "a share of 0% admits nobody", hint="on_store_error: deny")
        if self._plans is not None:
            known, default = self._plans["limits"], self._plans["default"]
            if default not in known and default != REFUSE:
                problems.add("plans.default", f"there is no plan '{default}'", hint=_named(known))
        for windows in self._together().values():
            names = [window.name for window in windows]
            for name in sorted({name for name in names if names.count(name) > 1}):
                option = "limits" if self._windows else "plans"
                problems.add(option, f"two windows are named '{name}'", hint="give one a 'name'")

    def _together(self) -> Mapping[str, tuple[Window, ...]]:
        """Return the windows that hold together, by plan."""
        if self._plans is None:
            return {"": self._windows}
        return {
            plan: (*self._windows, *windows_of(given, plan))
            for plan, given in self._plans["limits"].items()
        }

    async def setup(self, context: PluginContext) -> None:
        from plugins.rate_limit.tally import Tally  # it knows prometheus_client

        if self._option is not None:
            self._store = await context.store(self._option)
        tally = context.share("tally", Tally)
        context.metrics.collector("brain_rate_limit", tally)
        self._identity = context.entry.identity
        self._counts = tally.of(self._identity)
        scope = f"{context.entry.scope}:{self._by}"
        self._policies = {
            plan: policy_of(
                windows, partial(self._remember, context), self._store, scope, self._local_share
            )
            for plan, windows in self._together().items()
        }
        if self._plans is None:
            self._only = self._policies[""]
        else:
            plans = self._plans
            self._policy_of = plan_of(plans["claim"], self._policies, plans["default"])

    def _remember(self, context: PluginContext, window: Window) -> Memory:
        """Return the memory of a window: the same one after a reload that left the limit alone."""
        entry = f"{context.entry.scope} {self._by} {self._ipv6_prefix} {self._max_keys}"
        counts = self._counts

        def made() -> Memory:
            return counts.join(Memory(window, self._max_keys, counts.leave))

        return context.share(f"{entry} {window.key}", made)

    async def ready(self) -> str | None:
        away = None if self._store is None else self._store.away
        return None if away is None else f"the store is away ({away}): {self._meanwhile()}"

    def _meanwhile(self) -> str:
        told = {
            "local": "each process counts by itself",
            "deny": "requests are refused",
            "allow": "requests are not counted",
        }
        return told[self._on_store_error]

    def explain(self, exchange: Exchange) -> list[str]:
        where = "in this process" if self._option is None else "in the store that all share"
        lines = [f"counts by {self._by}, {where}"]
        for plan, windows in self._together().items():
            limits = _names(windows)
            lines.append(f"plan {plan}: admits {limits}" if plan else f"admits {limits}")
        return lines

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        exchange = request[EXCHANGE]
        if exchange.attempts:
            # An outer plugin runs the chain again for a request that was counted.
            return handler(request)
        policy = self._only or self._policy_of(exchange)
        key = self._key_of(request, exchange)
        if policy.shared is not None:
            return self._ask(request, handler, policy, key)
        alone = policy.alone
        wait, left = alone.here.take(key, self._now())
        exchange.on_answer(partial(_mark, alone.told, left))
        if wait:
            self._counts.refused += 1
            raise self._limited(policy, wait)
        self._counts.admitted += 1
        return handler(request)

    async def _ask(
        self, request: web.BaseRequest, handler: Handler, policy: Policy, key: str
    ) -> Answer:
        """Count in the store, or as the file says for when it is away."""
        assert policy.shared is not None
        exchange = request[EXCHANGE]
        try:
            wait, left = await policy.shared.take(key)
        except Unavailable:
            return await self._without_store(request, handler, policy, key)
        exchange.on_answer(partial(_mark, policy.told, left))
        if wait:
            self._counts.refused += 1
            raise self._limited(policy, wait)
        self._counts.admitted += 1
        return await handler(request)

    def _without_store(
        self, request: web.BaseRequest, handler: Handler, policy: Policy, key: str
    ) -> Awaitable[Answer]:
        if self._on_store_error == "allow":
            self._counts.unchecked += 1
            return handler(request)
        if self._on_store_error == "deny":
            self._counts.unavailable += 1
            raise Unavailable("the store of the limits is away", code="store_unavailable")
        wait, left = policy.alone.here.take(key, self._now())
        request[EXCHANGE].on_answer(partial(_mark, policy.alone.told, left))
        if wait:
            self._counts.refused_alone += 1
            raise self._limited(policy, wait)
        self._counts.admitted_alone += 1
        return handler(request)

    def _limited(self, policy: Policy, wait: float) -> GatewayError:
        """Return the refusal: Retry-After (RFC 9110, 10.2.3) in whole seconds, never too early."""
        return GatewayError(
            "rate_limited",
            log=f"'{self._identity}' admits {_names(policy.windows)}, counted by {self._by}",
            headers={"Retry-After": str(max(1, math.ceil(wait)))},
        )


def _mark(policy: str, left: str, _: Exchange, answer: Answer) -> None:
    answer.add_header("RateLimit-Policy", policy)
    answer.add_header("RateLimit", left)


def _names(windows: tuple[Window, ...]) -> str:
    return " and ".join(window.name for window in windows)


def _none_yet(_: Exchange) -> Policy:
    raise RuntimeError("not set up")


def _named(plans: Mapping[str, Any]) -> str:
    return f"plans: {', '.join(plans)}; or {REFUSE}"

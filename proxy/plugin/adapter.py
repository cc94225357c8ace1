"""An aiohttp middleware as a plugin: `{use: module:attr, with: {…}}`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from proxy.errors import ConfigError
from proxy.plugin.base import Handler, Plugin

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.plugin.exchange import Exchange


def adapt_middleware(found: Callable[..., Any], reference: str) -> type[Plugin]:
    """Make a Plugin class of `found`, which must need neither `request.app` nor `match_info`.

    What is awaited when called (an `async def`, or an object whose `__call__` is one) is the
    middleware itself; anything else is a factory, called once with the options, that returns one.
    Raises ConfigError when a middleware is given options, or a factory returns none.
    """
    from proxy.plugin.answer import Answer  # aiohttp comes with it, for a file that names one

    class Adapted(Plugin):
        schema = {"type": "object", "description": f"Keyword arguments of {reference}."}

        def __init__(self, **options: Any) -> None:
            if _is_middleware(found) and options:
                raise ConfigError(f"'{reference}' is a middleware itself and takes no 'with'")
            self._middleware = found if _is_middleware(found) else found(**options)
            if not callable(self._middleware):
                raise ConfigError(f"'{reference}' is a factory that returned no middleware")

        def explain(self, exchange: Exchange) -> list[str]:
            return ["an aiohttp middleware, which can't say what it does"]

        async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
            return Answer.of(await self._middleware(request, handler))

    Adapted.__name__ = Adapted.__qualname__ = reference
    return Adapted


def _is_middleware(found: Callable[..., Any]) -> bool:
    if inspect.iscoroutinefunction(found):
        return True
    called = getattr(found, "__call__", None)  # noqa: B004  the method itself is looked at
    return not isinstance(found, type) and inspect.iscoroutinefunction(called)

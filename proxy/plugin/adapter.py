"""An aiohttp middleware as a plugin: `{use: module:attr, with: {…}}`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from aiohttp import web

from proxy.errors import ConfigError
from proxy.plugin.answer import Answer
from proxy.plugin.base import Handler, Plugin


def adapt_middleware(found: Callable[..., Any], reference: str) -> type[Plugin]:
    """Make a Plugin class of `found`, which must need neither `request.app` nor `match_info`.

    With options, `found` is a factory: it is called with them once and returns the middleware;
    without, it is the middleware itself. Raises ConfigError when a middleware is given options.
    """

    class Adapted(Plugin):
        schema = {"type": "object", "description": f"Keyword arguments of {reference}."}

        def __init__(self, **options: Any) -> None:
            is_middleware = inspect.iscoroutinefunction(found)
            if is_middleware and options:
                raise ConfigError(f"'{reference}' is a middleware itself and takes no 'with'")
            self._middleware = found if is_middleware else found(**options)

        async def __call__(self, request: web.BaseRequest, handler: Handler) -> Answer:
            return Answer.of(await self._middleware(request, handler))

    Adapted.__name__ = Adapted.__qualname__ = reference
    return Adapted

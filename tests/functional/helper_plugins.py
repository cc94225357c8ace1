"""Plugins that fail at their setup, named in tests by `{use: module:attr}`."""

from __future__ import annotations

from proxy import Plugin, PluginContext, Unavailable


class Away(Plugin):
    """Its dependency is away until a test sets `here`."""

    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    here = False

    async def setup(self, context: PluginContext) -> None:
        if not Away.here:
            raise Unavailable("the store is sealed", code="secret_unavailable")


class Broken(Plugin):
    """Has a bug in its setup."""

    schema = {"type": "object", "properties": {}, "additionalProperties": False}

    async def setup(self, context: PluginContext) -> None:
        raise RuntimeError("a bug")

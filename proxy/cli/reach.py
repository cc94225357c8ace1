"""Whether every upstream can be reached from here, for `brain check --connect`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import replace

from proxy.config.codes import Code
from proxy.config.diagnostics import Diagnostic, Severity
from proxy.config.load import Loaded
from proxy.config.models import Config, Place, TargetSpec, UpstreamSpec
from proxy.config.source import Source, Span

AT_ONCE = 32
"""Connections that are tried at the same time."""

PATIENCE = 5.0
"""Seconds for name, connection and TLS handshake of one target together."""


def with_reachability(loaded: Loaded) -> Loaded:
    """Return `loaded` with an error for each target that can't be reached."""
    if loaded.config is None:
        return loaded
    found = asyncio.run(_unreachable(loaded.config))
    return replace(loaded, diagnostics=(*loaded.diagnostics, *found))


async def _unreachable(config: Config) -> list[Diagnostic]:
    slots = asyncio.Semaphore(AT_ONCE)
    tries = [
        _try(spec, target, place, slots)
        for spec, place in _used(config)
        for target in spec.targets
        if not target.nowhere
    ]
    return [found for found in await asyncio.gather(*tries) if found is not None]


def _used(config: Config) -> Iterable[tuple[UpstreamSpec, Place]]:
    """Return each upstream once, with the place of the first that sends requests to it."""
    places: dict[int, Place] = {}
    routes = [*config.routes, *([config.fallback] if config.fallback else ())]
    for user in (*config.services, *routes):
        places.setdefault(user.upstream, user.place)
    for route in routes:
        further = (*route.split, *([route.mirror] if route.mirror else ()))
        for one in further:
            places.setdefault(one.upstream, route.place)
    return [(config.upstreams[index], place) for index, place in places.items()]


async def _try(
    spec: UpstreamSpec, target: TargetSpec, place: Place, slots: asyncio.Semaphore
) -> Diagnostic | None:
    async with slots:
        try:
            async with asyncio.timeout(PATIENCE):
                await _connect(spec, target)
        except (OSError, TimeoutError) as error:
            message = f"{target} of '{spec.name}' can't be reached: {_why(error)}"
            span = Span(Source(place.file), place.line, place.column, 0)
            return Diagnostic(Code.UNREACHABLE, Severity.ERROR, message, span)
    return None


async def _connect(spec: UpstreamSpec, target: TargetSpec) -> None:
    context, name = None, None
    if target.scheme == "https":
        context, name = _context(spec), spec.tls.server_name or target.host
    _, writer = await asyncio.open_connection(
        target.host, target.port, ssl=context, server_hostname=name
    )
    writer.transport.abort()


def _context(spec: UpstreamSpec) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=spec.tls.ca)
    if not spec.tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection in {PATIENCE:g} s"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'handshake failed'}"
    return getattr(error, "strerror", None) or type(error).__name__

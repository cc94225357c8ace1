"""What the gateway would answer itself, as far as that is known without running a plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from proxy.config.models import Access
from proxy.errors import GatewayError
from proxy.plugin.base import Authenticator

if TYPE_CHECKING:
    from proxy.runtime.snapshot import Snapshot
    from proxy.server.request import Request

Pages = Mapping[tuple[str, str], Callable[[str], bool]]
"""By method and path of each page of the gateway's own, which addresses may read it."""


def refusal(snapshot: Snapshot, request: Request, pages: Pages) -> GatewayError | None:
    """Return what stands before the forwarder: no route, no page, or a caller whom nobody knows."""
    if request.exchange.error is not None:
        return request.exchange.error
    if request.route is None:
        return _page_refused(request, pages)
    known = request.exchange.principal is not None
    asks = request.route.spec.access is Access.REQUIRED
    return _unknown_caller(snapshot, request) if asks and not known else None


def _page_refused(request: Request, pages: Pages) -> GatewayError | None:
    """Return what a page answers to who may not read it: to them it is not there."""
    may_read = pages.get((request.method, request.exchange.path))
    if may_read is None or may_read(request.exchange.client.address):
        return None
    return GatewayError("no_route")


def _unknown_caller(snapshot: Snapshot, request: Request) -> GatewayError:
    challenges = []
    for index in request.route.spec.authenticators:
        plugin = snapshot.instances.held[index].plugin
        # One that needs its setup for that, or has a bug, can't tell here.
        with suppress(Exception):
            challenges.append(plugin.challenge() if isinstance(plugin, Authenticator) else None)
    given = ", ".join(challenge for challenge in challenges if challenge)
    headers = {"WWW-Authenticate": given} if given else None
    return GatewayError("credentials_missing", headers=headers)

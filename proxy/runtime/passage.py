"""What the gateway itself keeps of one request on its way; plugins see the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.runtime.route import Route
    from proxy.server.tunnel import UpgradeTunnel
    from proxy.tasks import Tasks
    from proxy.upstream.body import Lease


class Passage:
    """The route's run-time side, and all that must be given back when the request is over.

    `forwarded` are the finished header lines that tell the upstream who came; `sent_host` is the
    Host that it was sent.
    """

    __slots__ = (
        "forwarded",
        "leases",
        "prefix",
        "route",
        "sent_host",
        "tasks",
        "tunnel",
        "upgrade",
        "wants_trailers",
    )

    def __init__(self, route: Route, prefix: str, forwarded: bytes, tasks: Tasks) -> None:
        self.route = route
        self.prefix = prefix
        self.forwarded = forwarded
        self.tasks = tasks
        self.leases: list[Lease] = []
        self.sent_host = ""
        self.upgrade = False
        self.wants_trailers = False
        self.tunnel: UpgradeTunnel | None = None

    def end(self) -> None:
        """Give every slot and connection back."""
        for lease in self.leases:
            lease.end()

"""What is legal and unwise about compiled routes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from proxy.config.codes import Code
from proxy.config.models import Cookies, RouteSpec, UpstreamSpec
from proxy.config.upstreams import all_private
from proxy.config.work import Work


def warn_of_dangers(
    work: Work, routes: Iterable[RouteSpec], upstreams: Sequence[UpstreamSpec]
) -> None:
    """Warn where what identifies the caller leaves for a host that is not near by its name."""
    for route in routes:
        upstream = upstreams[route.upstream]
        if all_private(upstream):
            continue
        span = work.spans[route.place]
        if route.forward_token:
            message = f"'{route.name}' sends callers' credentials to {_hosts(upstream)}"
            work.report.warn(
                Code.TOKEN_LEAVES, message, span, "who reads them there can act as the caller"
            )
        if route.forward_cookies is Cookies.ALL:
            message = f"'{route.name}' sends all cookies to {_hosts(upstream)}"
            work.report.warn(Code.COOKIES_LEAVE, message, span, "list the ones that it needs")


def _hosts(upstream: UpstreamSpec) -> str:
    """Several hosts are summed up. What came from the environment is no secret: it is a host."""
    first, *others = dict.fromkeys(target.host for target in upstream.targets)
    return f"{first} and {len(others)} more" if others else first

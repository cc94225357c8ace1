"""What is legal and unwise about compiled routes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from proxy.config.codes import Code
from proxy.config.models import Cookies, RouteSpec, UpstreamSpec
from proxy.config.upstreams import all_private
from proxy.config.work import Work


def warn_of_dangers(
    work: Work, routes: Iterable[RouteSpec], upstreams: Sequence[UpstreamSpec]
) -> None:
    """Warn where what identifies the caller leaves for a host that is not near by its name."""
    for route in routes:
        span = work.spans[route.place]
        for index, cookies in _receivers(route):
            upstream = upstreams[index]
            if all_private(upstream):
                continue
            if route.forward_token:
                message = f"'{route.name}' sends callers' credentials to {_hosts(upstream)}"
                hint = "who reads them there can act as the caller"
                work.report.warn(Code.TOKEN_LEAVES, message, span, hint)
            if cookies and route.forward_cookies is Cookies.ALL:
                message = f"'{route.name}' sends all cookies to {_hosts(upstream)}"
                work.report.warn(Code.COOKIES_LEAVE, message, span, "list the ones that it needs")


def _receivers(route: RouteSpec) -> Iterator[tuple[int, bool]]:
    """Yield each upstream that gets what identifies callers, and whether that is cookies too."""
    yield route.upstream, True
    for one in route.split:
        yield one.upstream, one.keeps_cookies
    if route.mirror is not None and route.mirror.credentials:
        yield route.mirror.upstream, route.mirror.keeps_cookies


def _hosts(upstream: UpstreamSpec) -> str:
    """Several hosts are summed up. What came from the environment is no secret: it is a host."""
    first, *others = dict.fromkeys(target.host for target in upstream.targets)
    return f"{first} and {len(others)} more" if others else first

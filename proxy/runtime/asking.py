"""The one link of a chain that asks who calls."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from proxy.config.models import Access
from proxy.errors import GatewayError, Unauthenticated, Unavailable
from proxy.plugin.base import Authenticator, Handler
from proxy.plugin.principal import Principal
from proxy.runtime.chain import Held, never_raises
from proxy.runtime.refusal import forget_frames, refusal
from proxy.runtime.sites import check_site

if TYPE_CHECKING:
    from aiohttp import web

    from proxy.plugin.answer import Answer
    from proxy.server.request import Request

    Given = Principal | None | Awaitable[Principal | None]

Way = tuple[Held, Authenticator]

_NOTHING: Mapping[str, str | None] = {}


def authenticate_link(asked: Sequence[Held], access: Access, inner: Handler) -> Handler:
    """Return the one link that asks a route's authenticators in their listed order.

    Where the first one knows the caller at once, no coroutine is made.
    """
    ways = ways_of(asked)
    held, first = ways[0]

    def call(incoming: web.BaseRequest) -> Awaitable[Answer]:
        request = cast("Request", incoming)
        given: Given = None
        if held.unavailable is None:
            try:
                given = first.authenticate(request)
                if isinstance(given, Principal) and not given.ambient:
                    request.exchange.principal = given
                    return inner(request)
            except Exception as error:  # an authenticator may fail in any way
                given = _raising(error)
        return ask(request, given)

    async def ask(request: Request, given: Given) -> Answer:
        try:
            principal = await caller(ways, request, given)
            if principal is None and access is not Access.OPTIONAL:
                raise _challenging(await _stranger(ways, request), ways)  # noqa: TRY301
        except _Bug as bug:
            return refusal(request, bug.error, bug.identity)
        except Exception as error:
            return refusal(request, error, "authenticate")
        request.exchange.principal = principal
        answer = await inner(request)
        return answer if principal is not None else _inviting(request, answer, ways)

    never_raises(ask)
    return call


def ways_of(asked: Sequence[Held]) -> list[Way]:
    """Return held authenticators as they are asked."""
    return [(held, cast(Authenticator, held.plugin)) for held in asked]


async def caller(ways: Sequence[Way], request: Request, given: Given = None) -> Principal | None:
    """Return who calls, None where there is no credential; `given` is what the first way has said.

    The first principal wins. With none, a bad credential is told before an authenticator that is
    away, and that before nothing at all: who can't be asked may have known the caller. Raises
    GatewayError: a 401 with every challenge, a 503, or `csrf_refused`.
    """
    found: GatewayError | None = None
    said: dict[str, str | None] = {}
    for held, plugin in ways:
        try:
            if held.unavailable is not None:
                found = found or held.unavailable.refusal()
                continue
            given = given or plugin.authenticate(request)
            principal = given if given is None or isinstance(given, Principal) else await given
        except Unauthenticated as bad:
            forget_frames(bad)
            said[held.identity] = bad.challenge
            found = found if isinstance(found, Unauthenticated) else bad
        except Unavailable as away:
            found = found or away.refusal()
        except Exception as failure:  # authenticators fail closed
            raise _Bug(failure, held.identity) from None
        else:
            if principal is not None:
                if principal.ambient:
                    check_site(request)
                return principal
        given = None
    if found is not None:
        raise _challenging(found, ways, said)
    return None


async def known_caller(ways: Sequence[Way], request: Request) -> Principal:
    """Return who calls. Raises as `caller` does, and a 401 with every challenge for no credential."""
    principal = await caller(ways, request)
    if principal is None:
        raise _challenging(_missing(ways), ways)
    return principal


async def _stranger(ways: Sequence[Way], request: Request) -> GatewayError:
    """Return what a caller hears who has no credential: an invitation, where one of them has one."""
    for held, plugin in ways:
        try:
            invitation = await plugin.invite(request)
        except Exception as failure:
            raise _Bug(failure, held.identity) from None
        if invitation is not None:
            return Unauthenticated("credentials_missing", answer=invitation)
    return _missing(ways)


def _missing(ways: Sequence[Way]) -> GatewayError:
    asked = ", ".join(held.identity for held, _ in ways)
    return GatewayError("credentials_missing", log=f"none that is for {asked}")


class _Bug(Exception):
    """An authenticator failed, or refused in words of its own: nobody else is asked."""

    def __init__(self, error: Exception, identity: str) -> None:
        self.error = error
        self.identity = identity
        super().__init__(identity)


async def _raising(error: Exception) -> Principal | None:
    raise error


def _challenging(
    error: GatewayError, ways: Sequence[Way], said: Mapping[str, str | None] = _NOTHING
) -> GatewayError:
    """Return the error; a 401 says what would let the caller in (RFC 9110, 11.6.1).

    `said` are challenges that say what was wrong, by the identity of those whose own they replace.
    """
    if error.status == HTTPStatus.UNAUTHORIZED:
        challenges = [said.get(held.identity) or _challenge(held, plugin) for held, plugin in ways]
        given = ", ".join(dict.fromkeys(challenge for challenge in challenges if challenge))
        if given:
            error.headers["WWW-Authenticate"] = given
    return error


def _inviting(request: Request, answer: Answer, ways: Sequence[Way]) -> Answer:
    """Return the answer to a caller whom nobody knows; a 401 from further in gets the challenges."""
    error = answer.error
    if error is None or error.code != "credentials_missing":
        return answer
    try:
        challenges = _challenging(GatewayError("credentials_missing"), ways).headers
    except _Bug as bug:
        return refusal(request, bug.error, bug.identity)
    if answer.header("WWW-Authenticate") is None:
        for name, value in challenges.items():
            answer.add_header(name, value)
    return answer


def _challenge(held: Held, plugin: Authenticator) -> str | None:
    try:
        return plugin.challenge()
    except Exception as failure:
        raise _Bug(failure, held.identity) from None

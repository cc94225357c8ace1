"""Everything that can go wrong on the way of a request, and how each is told.

    GatewayError            a code of the table in `proxy.codes`
    ├── Problem             a plugin's own refusal: any status, any code
    └── Unauthenticated     an authenticator's: this credential is mine, and bad
    ConfigError             a bad file: refuses the load or reload
    Unavailable             a dependency is away: the snapshot serves, routes that need it answer 503

One table gives a code its status, side, stage and whether trying again can help; `problem_body` and
`proxy_status` are the only places that spell an error out (RFC 9457, RFC 9209).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from proxy.codes import CODES, TYPE, Code, Side, title_of
from proxy.headers import clean_value

if TYPE_CHECKING:
    from proxy.plugin.answer import Answer


class GatewayError(Exception):
    """An exchange ended otherwise than it should: `code` says how, the rest follows from the table.

    `detail` replaces the table's sentence and is shown to clients; `log` is for the log alone and
    may say what a client must not read (addresses, exception text, the plugin's name). `headers`
    are put on the answer. `meaning` stands for the table's row where a code has none. Raises
    KeyError for a code that has no meaning, TypeError or ValueError for an unclean header.
    """

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        log: str = "",
        headers: Mapping[str, str] | None = None,
        meaning: Code | None = None,
    ) -> None:
        known = CODES[code] if meaning is None else meaning
        self.code = code
        self.status = known.status
        self.side = known.side
        self.stage = known.stage
        self.retryable = known.retryable
        self.proxy_error = known.proxy_error
        self.detail = detail or known.detail
        self.log = log
        self.headers = {} if headers is None else _clean(headers)
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.headers.setdefault("Retry-After", "1")
        super().__init__(f"{code}: {log or self.detail}")


class Problem(GatewayError):
    """How a plugin refuses: `raise Problem(402, "quota_exceeded", "The month's calls are used up.")`.

    `status` is 400 to 599; `code` is snake_case and stable: clients, logs and metrics use it, so
    nothing that a client sent may be part of it. Raises ValueError for another status or code.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retryable: bool = False,
        log: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"a Problem's status is 400 to 599, not {status}")
        meaning = _of_plugin(status, retryable)
        super().__init__(_named(code), detail, log=log, headers=headers, meaning=meaning)


@lru_cache(maxsize=400, typed=True)
def _of_plugin(status: int, retryable: bool) -> Code:
    """Return the row that stands for a plugin's own code: its detail comes with each error."""
    if status < 500:
        return Code(status, Side.CLIENT, "plugin", retryable, "", proxy_error="http_request_denied")
    return Code(status, Side.GATEWAY, "plugin", retryable, "")


class Unauthenticated(GatewayError):
    """Raised by an authenticator: the credential is of my kind, and bad (None would mean: not mine).

    `code` may be one that the table does not have; it answers 401 whatever it is. `answer` is sent in
    place of the problem body where nobody else knows the caller: what a service that was asked has to
    say itself, such as a redirect to its login. `challenge` stands for the authenticator's own in
    `WWW-Authenticate`, where a scheme says there what was wrong.
    """

    def __init__(
        self,
        code: str = "credentials_invalid",
        detail: str | None = None,
        *,
        log: str = "",
        answer: Answer | None = None,
        challenge: str | None = None,
    ) -> None:
        meaning = CODES.get(code, CODES["credentials_invalid"])
        if meaning.status != HTTPStatus.UNAUTHORIZED:
            meaning = replace(meaning, status=int(HTTPStatus.UNAUTHORIZED), side=Side.CLIENT)
        super().__init__(_named(code), detail, log=log, meaning=meaning)
        self.answer = answer
        self.challenge = challenge


_NAMED = re.compile(r"[a-z][a-z0-9_]{0,63}")


def _named(code: str) -> str:
    """Return `code`, which becomes a metric's label and part of a header, when it is snake_case."""
    if not _NAMED.fullmatch(code):
        raise ValueError(f"an error's code is snake_case, at most 64 characters, not {code!r}")
    return code


def _clean(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: clean_value(name, value) for name, value in headers.items()}


class ConfigError(Exception):
    """The configuration can't be served as it stands. `hint` is a remedy in one sentence."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.hint = hint
        super().__init__(message)


class Unavailable(Exception):
    """A dependency is away: raised in `setup`, which is tried again, or on the way of a request.

    What needs the plugin answers 503 with `code`; the message is for the log and for /ready.
    """

    def __init__(self, message: str, *, code: str = "dependency_unavailable") -> None:
        self.code = _named(code)
        row = CODES["dependency_unavailable"]
        known = CODES.get(code, row)
        self._meaning = known if known.status == row.status else row
        super().__init__(message)

    def refusal(self) -> GatewayError:
        """Return the error that this means for one request: a new one, since tracebacks add up."""
        return GatewayError(self.code, log=str(self), meaning=self._meaning)


def problem_body(error: GatewayError, *, request_id: str, service: str | None) -> bytes:
    """The RFC 9457 body. `message` equals `detail`, since existing clients read either."""
    return json.dumps(
        {
            "type": f"{TYPE}{error.code}",
            "title": title_of(error.status),
            "status": error.status,
            "detail": error.detail,
            "message": error.detail,
            "code": error.code,
            "request_id": request_id,
            "service": service,
            "retryable": error.retryable,
        }
    ).encode()


def proxy_status(error: GatewayError, received: int | None = None) -> str:
    """The `Proxy-Status` value: who speaks, the RFC 9209 type where one fits, our code as details.

    `received` is the status of a target's answer that the client gets this error for. No `next-hop`:
    it would tell clients which hosts there are.
    """
    kind = f"; error={error.proxy_error}" if error.proxy_error else ""
    status = "" if received is None else f"; received-status={received}"
    return f'brain{kind}{status}; details="{error.code}"'

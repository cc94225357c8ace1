"""Everything that can go wrong on the way of a request, and how each is told.

    GatewayError            a code of the table below
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
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus

from proxy.headers import clean_value


class Side(Enum):
    """Whose fault it is."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Code:
    """What a stable error code means.

    `stage`: where on the way it happened. `proxy_error`: the RFC 9209 error type, or None when the
    RFC has none that fits. `detail`: the sentence a client reads; no host names, no exception text.
    """

    status: int
    side: Side
    stage: str
    retryable: bool
    detail: str
    proxy_error: str | None = None


_C, _U, _G = Side.CLIENT, Side.UPSTREAM, Side.GATEWAY

CODES: Mapping[str, Code] = {
    # The client's request, before a route is known.
    "bad_request": Code(400, _C, "parse", False, "The request is not valid HTTP/1.1."),
    "bad_path": Code(400, _C, "parse", False, "The path is ambiguous and was refused."),
    "bad_host": Code(400, _C, "parse", False, "The Host header is missing or malformed."),
    "bad_framing": Code(400, _C, "parse", False, "The request's length is ambiguous."),
    "uri_too_long": Code(414, _C, "parse", False, "The request line is too long."),
    "head_too_large": Code(431, _C, "parse", False, "The request's header fields are too large."),
    "head_timeout": Code(408, _C, "parse", True, "The request's head did not arrive in time."),
    "method_refused": Code(405, _C, "parse", False, "This method is not served here."),
    "version_refused": Code(505, _C, "parse", False, "Only HTTP/1.0 and HTTP/1.1 are served."),
    "expectation_failed": Code(417, _C, "parse", False, "The expectation is not supported."),
    # Routing.
    "no_route": Code(404, _C, "route", False, "No route takes this request.", "destination_not_found"),
    "method_not_allowed": Code(405, _C, "route", False, "This path does not serve this method."),
    "loop_detected": Code(508, _C, "route", False, "The request passed here too often.", "proxy_loop_detected"),
    # Who may call.
    "credentials_missing": Code(401, _C, "authenticate", False, "Credentials are needed."),
    "credentials_invalid": Code(401, _C, "authenticate", False, "The credentials are not valid."),
    "credentials_expired": Code(401, _C, "authenticate", False, "The credentials have expired."),
    "claim_missing": Code(403, _C, "authorize", False, "The caller lacks a claim that this needs."),
    "value_missing": Code(400, _C, "transform", False, "The request lacks a value that this needs."),
    "value_invalid": Code(400, _C, "transform", False, "A value of the request may not stand where this needs it."),
    "not_cached": Code(504, _C, "cache", True, "No stored answer serves this request."),
    "origin_refused": Code(403, _C, "cors", False, "This origin may not open a connection here."),
    # The client's body.
    "body_too_large": Code(413, _C, "request_body", False, "The request body is too large."),
    "body_timeout": Code(408, _C, "request_body", True, "The request body came too slowly."),
    "body_invalid": Code(400, _C, "request_body", False, "The request body is not valid."),
    "upgrade_refused": Code(400, _C, "upgrade", False, "This upgrade is not served here."),
    "client_left": Code(499, _C, "client", False, "The client closed the connection."),
    "client_too_slow": Code(499, _C, "client", False, "The client read too slowly."),
    # The upstream.
    "upstream_saturated": Code(503, _U, "pool", True, "The service is busy.", "connection_limit_reached"),
    "upstream_pool_timeout": Code(503, _U, "pool", True, "The service is busy.", "connection_limit_reached"),
    "upstream_unresolved": Code(502, _U, "resolve", True, "The service's address is not known.", "dns_error"),
    "upstream_resolve_timeout": Code(504, _U, "resolve", True, "The service's address was not found in time.", "dns_timeout"),
    "upstream_connect_refused": Code(502, _U, "connect", True, "The service refused the connection.", "connection_refused"),
    "upstream_connect_failed": Code(502, _U, "connect", True, "The service could not be reached.", "destination_ip_unroutable"),
    "upstream_connect_timeout": Code(504, _U, "connect", True, "The service did not answer the connection in time.", "connection_timeout"),
    "upstream_tls_failed": Code(502, _U, "tls", False, "The service's certificate or TLS handshake failed.", "tls_protocol_error"),
    "upstream_tls_timeout": Code(504, _U, "tls", True, "The service's TLS handshake took too long.", "connection_timeout"),
    "upstream_write_timeout": Code(504, _U, "send", True, "The service stopped reading the request.", "connection_write_timeout"),
    "upstream_reset_before_headers": Code(502, _U, "response_head", True, "The service closed the connection without an answer.", "connection_terminated"),
    "upstream_response_timeout": Code(504, _U, "response_head", True, "The service did not answer in time.", "http_response_timeout"),
    "upstream_invalid_response": Code(502, _U, "response_head", False, "The service's answer is not valid HTTP.", "http_protocol_error"),
    "upstream_head_too_large": Code(502, _U, "response_head", False, "The service's answer has too large a head.", "http_response_header_section_size"),
    "upstream_upgrade_unasked": Code(502, _U, "response_head", False, "The service switched protocols unasked.", "http_upgrade_failed"),
    "upstream_reset_mid_body": Code(502, _U, "response_body", True, "The service broke off its answer.", "http_response_incomplete"),
    "upstream_body_timeout": Code(504, _U, "response_body", True, "The service paused too long within its answer.", "connection_read_timeout"),
    "stream_timeout": Code(504, _U, "response_body", True, "The stream was idle too long.", "connection_read_timeout"),
    "answer_too_large": Code(502, _U, "response_body", False, "The service's answer is too large to be handled.", "http_response_body_size"),
    "answer_coding_unknown": Code(502, _U, "response_body", False, "The service's answer is coded in an unknown way.", "http_response_content_coding"),
    "answer_invalid": Code(502, _U, "response_body", False, "The service's answer could not be decoded.", "http_response_content_coding"),
    # The gateway.
    "plugin_failed": Code(500, _G, "plugin", False, "The gateway failed on this request.", "proxy_internal_error"),
    "gateway_failed": Code(500, _G, "gateway", False, "The gateway failed on this request.", "proxy_internal_error"),
    "dependency_unavailable": Code(503, _G, "plugin", True, "A part that this route needs is away.", "proxy_internal_response"),
    "draining": Code(503, _G, "gateway", True, "The gateway is shutting down.", "connection_limit_reached"),
    "overloaded": Code(503, _G, "gateway", True, "The gateway is busy.", "connection_limit_reached"),
    "cut_at_shutdown": Code(503, _G, "gateway", True, "The gateway stopped before the end.", "connection_terminated"),
}  # fmt: skip


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
        clients = status < 500
        meaning = Code(
            status,
            Side.CLIENT if clients else Side.GATEWAY,
            "plugin",
            retryable,
            detail,
            "http_request_denied" if clients else None,
        )
        super().__init__(_named(code), log=log, headers=headers, meaning=meaning)


class Unauthenticated(GatewayError):
    """Raised by an authenticator: the credential is of my kind, and bad (None would mean: not mine).

    `code` may be one that the table does not have; it answers 401 whatever it is.
    """

    def __init__(
        self, code: str = "credentials_invalid", detail: str | None = None, *, log: str = ""
    ) -> None:
        known = CODES.get(code, CODES["credentials_invalid"])
        meaning = replace(known, status=int(HTTPStatus.UNAUTHORIZED), side=Side.CLIENT)
        super().__init__(_named(code), detail, log=log, meaning=meaning)


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
        super().__init__(message)

    def refusal(self) -> GatewayError:
        """Return the error that this means for one request: a new one, since tracebacks add up."""
        meaning = CODES["dependency_unavailable"]
        return GatewayError(self.code, log=str(self), meaning=meaning)


def problem_body(error: GatewayError, *, request_id: str, service: str | None) -> bytes:
    """The RFC 9457 body. `message` equals `detail`, since existing clients read either."""
    status = error.status
    title = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"
    return json.dumps(
        {
            "type": f"urn:brain-gateway:error:{error.code}",
            "title": title,
            "status": status,
            "detail": error.detail,
            "message": error.detail,
            "code": error.code,
            "request_id": request_id,
            "service": service,
            "retryable": error.retryable,
        }
    ).encode()


def proxy_status(error: GatewayError) -> str:
    """The `Proxy-Status` value: who speaks, the RFC 9209 type where one fits, our code as details."""
    kind = f"; error={error.proxy_error}" if error.proxy_error else ""
    return f'brain{kind}; details="{error.code}"'

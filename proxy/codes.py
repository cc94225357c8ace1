"""The table of error codes: whose fault, which status, where, whether again, and what to do.

Everything that tells of an error reads this table: the answer's body, `Proxy-Status`, the access
log, the metrics, `brain errors`, docs/errors.md and the module for frontends. A code is stable: it
is never given another meaning, and what nothing raises any more is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus


class Side(Enum):
    """Whose fault it is."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Code:
    """What a stable error code means.

    `stage`: where on the way it happened. `detail`: the sentence a client reads; no host names, no
    exception text. `remedy`: what to do, in one sentence, for the caller where the side is the
    client's, else for the operator. `proxy_error`: the RFC 9209 error type, or None when the RFC
    has none that fits.
    """

    status: int
    side: Side
    stage: str
    retryable: bool
    detail: str
    remedy: str = ""
    proxy_error: str | None = None


_C, _U, _G = Side.CLIENT, Side.UPSTREAM, Side.GATEWAY

CODES: Mapping[str, Code] = {
    # The client's request, before a route is known.
    "bad_request": Code(400, _C, "parse", False, "The request is not valid HTTP/1.1.",
        "Send a valid HTTP/1.1 message; TLS that is spoken to a plain port ends here too."),
    "bad_path": Code(400, _C, "parse", False, "The path is ambiguous and was refused.",
        "Send a path without '..', '//', '#' and control characters; encoded slashes need 'allow_encoded_slash' on the route."),
    "bad_host": Code(400, _C, "parse", False, "The Host header is missing or malformed.",
        "Send one Host header: a name or an address, and a port where it is not the usual one."),
    "bad_framing": Code(400, _C, "parse", False, "The request's length is ambiguous.",
        "Send one Content-Length, or 'Transfer-Encoding: chunked' alone."),
    "uri_too_long": Code(414, _C, "parse", False, "The request line is too long.",
        "Shorten path and query, or move the data into a body; the bound is gateway.limits.request_line."),
    "head_too_large": Code(431, _C, "parse", False, "The request's header fields are too large.",
        "Send fewer or smaller header fields, cookies first of all; gateway.limits.header_total is one of the bounds."),
    "head_timeout": Code(408, _C, "parse", True, "The request's head did not arrive in time.",
        "Send the whole head at once, and again; the bound is gateway.timeouts.head."),
    "method_refused": Code(405, _C, "parse", False, "This method is not served here.",
        "Use a method that the Allow header names."),
    "version_refused": Code(505, _C, "parse", False, "Only HTTP/1.0 and HTTP/1.1 are served.",
        "Speak HTTP/1.1; HTTP/2 needs an edge in front that speaks it."),
    "expectation_failed": Code(417, _C, "parse", False, "The expectation is not supported.",
        "Send 'Expect: 100-continue', or no Expect header."),
    "host_refused": Code(403, _C, "admin", False, "The operators' pages are not read under this host name.",
        "Ask by address, as 'localhost', or by a name without a dot."),
    # Routing.
    "no_route": Code(404, _C, "route", False, "No route takes this request.",
        "Check the path: 'brain routes' prints all that are served, and the access log names the nearest one.",
        "destination_not_found"),
    "method_not_allowed": Code(405, _C, "route", False, "This path does not serve this method.",
        "Use a method that the Allow header names."),
    "loop_detected": Code(508, _C, "route", False, "The request passed here too often.",
        "Find the upstream that leads back to this gateway; the bound is gateway.limits.hops.",
        "proxy_loop_detected"),
    # Who may call.
    "credentials_missing": Code(401, _C, "authenticate", False, "Credentials are needed.",
        "Send a credential of a kind that the WWW-Authenticate header names."),
    "credentials_invalid": Code(401, _C, "authenticate", False, "The credentials are not valid.",
        "Get another credential: this one is not accepted, now or later."),
    "credentials_expired": Code(401, _C, "authenticate", False, "The credentials have expired.",
        "Renew the credential, then send the request again with the new one."),
    "token_invalid": Code(401, _C, "authenticate", False, "The token is not valid here.",
        "Get a new token from the issuer that this gateway trusts; the operator finds in the access log what is wrong with this one."),
    "token_expired": Code(401, _C, "authenticate", False, "The token has expired.",
        "Renew the token, then send the request again with the new one."),
    "token_not_yet_valid": Code(401, _C, "authenticate", False, "The token is not valid yet.",
        "Wait until it is; where it was just made, the issuer's clock and the gateway's differ by more than jwt's leeway."),
    "token_issuer_unknown": Code(401, _C, "authenticate", False, "The token is of an issuer that is not trusted here.",
        "Get a token from a trusted issuer: its claim iss must be jwt's issuer letter by letter, a slash at the end included."),
    "token_audience_wrong": Code(401, _C, "authenticate", False, "The token is meant for another application.",
        "Ask the issuer for a token whose claim aud names this gateway: one of jwt's audience."),
    "keys_unavailable": Code(503, _G, "authenticate", True, "The token can't be verified at the moment.",
        "See on /ready why the issuer's keys can't be fetched; they are asked for again, without a restart."),
    "auth_refused": Code(403, _C, "authenticate", False, "This caller may not come in.",
        "Ask for access where the accounts are kept: signing in again changes nothing."),
    "auth_unavailable": Code(503, _G, "authenticate", True, "Who calls can't be found out at the moment.",
        "See whether the service at forward-auth's url runs and answers in time; the access log has the reason."),
    "signature_invalid": Code(401, _C, "authenticate", False, "The signature is not one of this request.",
        "Sign the raw body with the live secret, once; whatever changes a byte on the way spoils the signature."),
    "webhook_expired": Code(401, _C, "authenticate", False, "The signature was not made just now.",
        "Sign again with the time of now; the clocks of both sides must agree within 'tolerance' of the plugin 'webhook'."),
    "webhook_replayed": Code(409, _C, "authenticate", False, "This delivery was received already.",
        "Nothing is to be done for one that was answered before; 'replay' of the plugin 'webhook' says for how long."),
    "password_checks_busy": Code(503, _C, "authenticate", True, "Too many passwords are being checked.",
        "Send the request again a little later; the bound is 'checks' of the plugin 'basic'."),
    "csrf_refused": Code(403, _C, "authenticate", False, "A page of this origin may not act with what the browser sends by itself.",
        "Have the page's origin listed in the options of the plugin 'cors', or send the credential in a header."),
    "ticket_refused": Code(403, _C, "authenticate", False, "No ticket is given out for this path.",
        "Ask for a path, without its query, of a route whose authenticators include 'ticket'."),
    "ticket_question_invalid": Code(400, _C, "authenticate", False, 'Send {"path": "/…"}: the path that will be asked for, without a query.',
        "POST a JSON object with the one member 'path'."),
    "ticket_too_large": Code(422, _C, "authenticate", False, "The caller has too many claims for a ticket.",
        "Get a token with fewer claims: a ticket has to fit into an address. Groups are mostly what is long."),
    "ticket_invalid": Code(401, _C, "authenticate", False, "The ticket is not valid here.",
        "Use a ticket on the very path that it was asked for, by GET."),
    "ticket_expired": Code(401, _C, "authenticate", False, "The ticket has expired.",
        "Ask for a new ticket just before it is used."),
    "ticket_used": Code(401, _C, "authenticate", False, "The ticket was used before.",
        "Ask for a new ticket for each request: a reconnecting EventSource needs one too."),
    "access_denied": Code(403, _C, "authorize", False, "The caller may not do this.",
        "Have the operator admit you: the access log says which rule of 'authorize' was the nearest."),
    "scope_missing": Code(403, _C, "authorize", False, "The credential lacks a scope that this needs.",
        "Get a token with the scope that the WWW-Authenticate header names, or that the access log does."),
    "role_missing": Code(403, _C, "authorize", False, "The caller lacks a role that this needs.",
        "Have the role given to you, then get a new credential; the operator finds its name in the access log."),
    "address_refused": Code(403, _C, "guard", False, "This is not served to your address.",
        "Call from an address that the operator lets in; behind a proxy, gateway.trusted_proxies must name that."),
    "claim_missing": Code(403, _C, "authorize", False, "The caller lacks a claim that this needs.",
        "Get a credential that carries the claim; the operator finds its name in the access log."),
    "claim_invalid": Code(403, _C, "authorize", False, "What the credential says of the caller can't be passed on.",
        "Get a credential without control characters and overlong values; the operator finds in the access log where they are."),
    "value_missing": Code(400, _C, "transform", False, "The request lacks a value that this needs.",
        "Send the header or query parameter that this route needs; the operator finds its name in the access log."),
    "value_invalid": Code(400, _C, "transform", False, "A value of the request may not stand where this needs it.",
        "Send the value without control characters."),
    "rate_limited": Code(429, _C, "limit", True, "Too many requests: the limit is reached.",
        "Wait for the seconds that Retry-After says, and read RateLimit in answers to slow down before.",
        "http_request_denied"),
    "not_cached": Code(504, _C, "cache", True, "No stored answer serves this request.",
        "Leave 'only-if-cached' out of Cache-Control: the answer is then asked for."),
    "origin_refused": Code(403, _C, "cors", False, "This origin may not open a connection here.",
        "Have the page's origin, method and headers added to the options of the plugin 'cors'."),
    # The client's body.
    "body_too_large": Code(413, _C, "request_body", False, "The request body is too large.",
        "Send less at once; the bound is limits.request_body of the route, or that of a plugin that reads bodies."),
    "body_timeout": Code(408, _C, "request_body", True, "The request body came too slowly.",
        "Send the body faster and without pauses; the bounds are timeouts.body and limits.request_rate."),
    "body_invalid": Code(400, _C, "request_body", False, "The request body is not valid.",
        "Send well-formed chunks (RFC 9112, 7.1) or a Content-Length, and bytes that their Content-Encoding undoes."),
    "body_coding_unknown": Code(415, _C, "request_body", False, "The request body is coded in an unknown way.",
        "Send the body in a Content-Encoding that the Accept-Encoding header of the answer names, or in none."),
    "body_type_refused": Code(415, _C, "request_body", False, "The request body must be JSON here.",
        "Send JSON under 'Content-Type: application/json'; the operator allows other types by 'on_other' of 'body-transform'."),
    "body_json_invalid": Code(400, _C, "request_body", False, "The request body is not valid JSON.",
        "Send JSON in UTF-8 (RFC 8259) in which no name stands twice in one object; the answer says where it goes wrong."),
    "body_shape_refused": Code(422, _C, "request_body", False, "The request body does not have the form that this needs.",
        "Send an object whose members are objects where the service's own description has them."),
    "upgrade_refused": Code(400, _C, "upgrade", False, "This upgrade is not served here.",
        "Open a WebSocket by a GET over HTTP/1.1 without a body, on a route whose 'websocket' is not false."),
    "client_left": Code(499, _C, "client", False, "The client closed the connection.",
        "Wait for the answer; where many leave, see whether answers take longer than callers wait."),
    "client_too_slow": Code(499, _C, "client", False, "The client read too slowly.",
        "Read the answer without long pauses; the bound is timeouts.write."),
    # The upstream.
    "upstream_saturated": Code(503, _U, "pool", True, "The service is busy.",
        "See in 'brain status' how much is in flight; the bounds are upstream.concurrent and upstream.queue.",
        "connection_limit_reached"),
    "upstream_pool_timeout": Code(503, _U, "pool", True, "The service is busy.",
        "Find what makes the service slow, or raise upstream.concurrent; the wait is timeouts.pool.",
        "connection_limit_reached"),
    "upstream_unavailable": Code(503, _U, "pool", True, "The service has failed too often and is left alone for a while.",
        "See in 'brain status' why its targets fail; upstream.breaker says how often and for how long.",
        "destination_unavailable"),
    "upstream_unresolved": Code(502, _U, "resolve", True, "The service's address is not known.",
        "Check the host name in the upstream's URL, and that this machine's DNS knows it.",
        "dns_error"),
    "upstream_resolve_timeout": Code(504, _U, "resolve", True, "The service's address was not found in time.",
        "Check the DNS server that this machine asks; the bound is timeouts.resolve.",
        "dns_timeout"),
    "tenant_address_refused": Code(502, _G, "connect", False, "The service's address is not one that may be reached.",
        "Have the tenant's base URL name a public host, or allow its network by 'networks' of the plugin that sends there.",
        "destination_ip_prohibited"),
    "upstream_connect_refused": Code(502, _U, "connect", True, "The service refused the connection.",
        "See whether the service runs and listens on that port; 'brain check --connect' tries every upstream.",
        "connection_refused"),
    "upstream_connect_failed": Code(502, _U, "connect", True, "The service could not be reached.",
        "Check the network between; the access log has the address and the system's reason.",
        "destination_ip_unroutable"),
    "upstream_connect_timeout": Code(504, _U, "connect", True, "The service did not answer the connection in time.",
        "See whether a firewall drops packets or the host is overloaded; the bound is timeouts.connect.",
        "connection_timeout"),
    "upstream_tls_failed": Code(502, _U, "tls", False, "The service's certificate or TLS handshake failed.",
        "Check the certificate against upstream.tls.ca and upstream.tls.server_name; the access log has the reason.",
        "tls_protocol_error"),
    "upstream_tls_timeout": Code(504, _U, "tls", True, "The service's TLS handshake took too long.",
        "See whether that port speaks TLS at all; the bound is timeouts.tls.",
        "connection_timeout"),
    "upstream_write_timeout": Code(504, _U, "send", True, "The service stopped reading the request.",
        "See in the service's log why it stopped reading the body; the bound is timeouts.write.",
        "connection_write_timeout"),
    "upstream_reset_before_headers": Code(502, _U, "response_head", True, "The service closed the connection without an answer.",
        "See in the service's log whether it crashed or restarted; if it closes idle connections early, lower upstream.keepalive.",
        "connection_terminated"),
    "upstream_response_timeout": Code(504, _U, "response_head", True, "The service did not answer in time.",
        "See in the service's log what took so long; the bound is timeouts.response.",
        "http_response_timeout"),
    "upstream_invalid_response": Code(502, _U, "response_head", False, "The service's answer is not valid HTTP.",
        "See what the service sends: the access log has the fault; another protocol on that port ends here too.",
        "http_protocol_error"),
    "upstream_head_too_large": Code(502, _U, "response_head", False, "The service's answer has too large a head.",
        "Find the large header fields of the service, mostly cookies; limits.response_head is one of the bounds.",
        "http_response_header_section_size"),
    "upstream_upgrade_unasked": Code(502, _U, "response_head", False, "The service switched protocols unasked.",
        "See why the service answers 101 to a request that asked for no upgrade.",
        "http_upgrade_failed"),
    "upstream_reset_mid_body": Code(502, _U, "response_body", True, "The service broke off its answer.",
        "See in the service's log whether it crashed or restarted while it answered.",
        "http_response_incomplete"),
    "upstream_body_timeout": Code(504, _U, "response_body", True, "The service paused too long within its answer.",
        "See in the service's log why it paused; the bound is timeouts.idle.",
        "connection_read_timeout"),
    "stream_timeout": Code(504, _U, "response_body", True, "The stream was idle too long.",
        "Have one side send something, such as a ping, more often than timeouts.stream.",
        "connection_read_timeout"),
    "answer_too_large": Code(502, _U, "response_body", False, "The service's answer is too large to be handled.",
        "Raise the bound of the plugin that reads whole answers, or take it off this route.",
        "http_response_body_size"),
    "answer_coding_unknown": Code(502, _U, "response_body", False, "The service's answer is coded in an unknown way.",
        "Have the service answer in gzip or uncoded, or take the plugin that reads answers off this route.",
        "http_response_content_coding"),
    "answer_invalid": Code(502, _U, "response_body", False, "The service's answer could not be decoded.",
        "See why the service's compressed answer is damaged or cut short; the access log has the fault.",
        "http_response_content_coding"),
    "answer_type_refused": Code(502, _U, "response_body", False, "The service's answer is not JSON, as it must be here.",
        "Have the service answer JSON, or allow other types by 'on_other' of 'body-transform'."),
    "answer_json_invalid": Code(502, _U, "response_body", False, "The service's answer is not valid JSON.",
        "See in the access log where the service's JSON goes wrong; a name that stands twice in one object counts."),
    "answer_shape_refused": Code(502, _U, "response_body", False, "The service's answer does not have the form that this needs.",
        "Compare the pointers of 'body-transform' with what the service answers: something else stands where a field should."),
    # The gateway.
    "plugin_failed": Code(500, _G, "plugin", False, "The gateway failed on this request.",
        "Read the log of that moment: it names the plugin and has the traceback.",
        "proxy_internal_error"),
    "gateway_failed": Code(500, _G, "gateway", False, "The gateway failed on this request.",
        "Read the access log's note: mostly a plugin used an answer that it had discarded.",
        "proxy_internal_error"),
    "overloaded": Code(503, _G, "route", True, "The gateway has too much to do.",
        "See which service is slow and holds requests; the bound is gateway.limits.in_flight.",
        "connection_limit_reached"),
    "dependency_unavailable": Code(503, _G, "plugin", True, "A part that this route needs is away.",
        "Read on /ready which plugin misses what; it is tried again without a restart.",
        "proxy_internal_response"),
    "secret_unavailable": Code(503, _G, "plugin", True, "A credential that this route needs is not to be had.",
        "Read on /ready which store or value is away, in the access log for which secret; it is tried again without a restart.",
        "proxy_internal_response"),
    "secret_forbidden": Code(502, _G, "plugin", False, "A credential that this route needs may not be read.",
        "Let the gateway read it: by the store's policy, or the file's mode; the access log names the secret.",
        "proxy_internal_response"),
    "credential_missing": Code(424, _C, "plugin", False, "Nothing is connected that this needs.",
        "Connect the service for this tenant first; the operator finds in the access log which secret is missing.",
        "proxy_internal_response"),
    "credential_rejected": Code(424, _C, "plugin", False, "What was connected is not valid any more.",
        "Connect the service for this tenant again; where all tenants get it, the app's client_id or client_secret is wrong.",
        "proxy_internal_response"),
    "credential_invalid": Code(502, _G, "plugin", False, "A credential that this route needs can't be used.",
        "See in the access log what is wrong with the secret: mostly a line break at its end, or a base_url that is not allowed.",
        "proxy_internal_response"),
    "store_unavailable": Code(503, _G, "plugin", True, "What all gateways share is away.",
        "See on /ready whether the shared store answers; without one, the list of what was used is full: wait, or name a store.",
        "proxy_internal_response"),
    "cut_at_shutdown": Code(503, _G, "gateway", True, "The gateway stopped before the end.",
        "Raise gateway.shutdown.drain where requests take longer; behind a reload, old streams have an hour.",
        "connection_terminated"),
}  # fmt: skip

TYPE = "urn:brain-gateway:error:"
"""What the `type` of a problem body begins with; the code follows."""

# RFC 9110 has renamed some, and Python's own phrases differ by its version. 499 is nginx's.
_TITLES = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    414: "URI Too Long",
    422: "Unprocessable Content",
    499: "Client Closed Request",
}


def title_of(status: int) -> str:
    """Return the title of every error with this status."""
    return _TITLES.get(status, "Error")

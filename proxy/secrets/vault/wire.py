"""hvac and requests: the only file that imports them, in a thread, and where a store is used.

It adds bounds to them and takes habits away: no token, proxy, certificate or password of the
environment, no redirects, no retries, no cookies, nothing of any size or length.
"""

from __future__ import annotations

import json
import math
import ssl
from http.cookiejar import DefaultCookiePolicy
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import hvac
import requests
import urllib3
from hvac.adapters import RawAdapter
from requests.adapters import HTTPAdapter

from proxy.secrets.vault.answers import MOST, TOO_LARGE, Answer, Call, Unanswered

IDLE = 30.0
"""Seconds after which connections are made anew: balancers forget quiet ones, and tell nobody."""

_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})

_CHUNK = 64 * 1024
_OK = 200
_REFUSED = 400


class Wire:
    """Sends calls, each in the thread that asks for it.

    `timeout` is seconds to be connected, and seconds for each wait for the server.
    """

    def __init__(
        self, address: str, ca: str | None, timeout: tuple[float, float], connections: int
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ca or True
        self._session.headers.clear()
        self._session.headers.update(
            {
                "User-Agent": "brain-gateway",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            }
        )
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._pool = HTTPAdapter(1, connections, max_retries=urllib3.Retry(0, read=False))
        self._session.mount("https://", self._pool)
        self._session.mount("http://", self._pool)
        self._used = monotonic()

    def send(self, call: Call, token: str, deadline: float) -> Answer | Unanswered:
        """Return what came of a call. It raises nothing; `deadline` is of `time.monotonic()`."""
        self._forget_idle()
        # One client for each call: nothing that one call sets is there for another.
        client = hvac.Client(
            url=self._address,
            token=token,
            namespace=call.namespace or None,
            timeout=self._timeout,
            verify=self._session.verify,
            allow_redirects=False,
            session=self._session,
            adapter=_Adapter,
            expected=f"/v1/{call.path}",
            deadline=deadline,
        )
        try:
            answer: Answer | Unanswered = call.ask(client)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # Not chained, not logged: it holds the request, and the token with it.
            answer = Unanswered(_why(error), late=_is_late(error))
        except _Elsewhere:
            answer = Unanswered("was not asked: the path would have led elsewhere", sent=False)
        return answer

    def _forget_idle(self) -> None:
        now = monotonic()
        if now - self._used > IDLE:
            self._pool.poolmanager.clear()
        self._used = now

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._session.close()


class _Elsewhere(Exception):
    """The prepared URL is not the one that was meant."""


class _Adapter(RawAdapter):  # type: ignore[misc]  # hvac has no types
    """Returns an `Answer` for every status: hvac's exceptions hold bodies, and lose the headers."""

    def __init__(self, *, expected: str, deadline: float, **of_hvac: Any) -> None:
        super().__init__(**of_hvac)
        self._expected = expected
        self._deadline = deadline

    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        raise_exception: bool = True,
        **kwargs: Any,
    ) -> Answer:
        given = {**(headers or {}), "X-Vault-Request": "true"}
        given |= {"X-Vault-Token": self.token} if self.token else {}
        given |= {"X-Vault-Namespace": self.namespace} if self.namespace else {}
        request = requests.Request(
            method.upper(), f"{self.base_uri}{url}", headers=given, json=kwargs.get("json")
        )
        prepared = self.session.prepare_request(request)
        wanted = urlsplit(self.base_uri)
        found = urlsplit(str(prepared.url))
        # Dots are resolved while a URL is prepared: what it became is what is looked at.
        if found[:3] != (wanted.scheme, wanted.netloc, wanted.path + self._expected) or found.query:
            raise _Elsewhere
        with self.session.send(
            prepared,
            timeout=self._kwargs["timeout"],
            verify=self._kwargs["verify"],
            allow_redirects=False,
            proxies={},
            stream=True,
        ) as response:
            return self._answer(response)

    def _answer(self, response: requests.Response) -> Answer:
        status = response.status_code
        content = self._content(response)
        if content is None:
            return Answer(status, garbled=TOO_LARGE)
        body, garbled = _parsed(content)
        if status in range(_OK + 1, _REFUSED) and not content:
            garbled = None
        return Answer(status, body, garbled, _seconds(response.headers.get("Retry-After")))

    def _content(self, response: requests.Response) -> bytes | None:
        content = bytearray()
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            content += chunk
            if len(content) > MOST:
                return None
            if monotonic() > self._deadline:
                raise requests.ReadTimeout
        return bytes(content)


def _parsed(content: bytes) -> tuple[dict[str, Any], str | None]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}, "something that is not JSON"
    return (body, None) if isinstance(body, dict) else ({}, "JSON that is no object")


def _seconds(text: str | None) -> float | None:
    """Return what a Retry-After in seconds says; a date, or nonsense, says nothing."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _why(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return _of_tls(error)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "could not be connected to in time"
    if _is_late(error):
        return "did not answer in time"
    if isinstance(error, requests.exceptions.ConnectionError):
        return _of_connection(error)
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return "can't be asked: its 'ca' can't be read, or a connection failed"
    return "broke off its answer"


def _is_late(error: Exception) -> bool:
    late = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)
    return isinstance(error, late) and not isinstance(error, requests.exceptions.ConnectTimeout)


def _of_tls(error: requests.exceptions.SSLError) -> str:
    """Tell a certificate that is not trusted from a port that speaks something else."""
    cause: object = error
    while isinstance(cause, Exception) and not isinstance(cause, ssl.SSLError):
        inner = cause.args[0] if cause.args else None
        cause = getattr(cause, "reason", None) or inner
    if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
        return "speaks no TLS at this port: is it http://?"
    return "has no certificate that could be verified"


def _of_connection(error: requests.exceptions.ConnectionError) -> str:
    """Tell a server that is not there from one that went away while it was asked."""
    cause = error.args[0] if error.args else None
    cause = getattr(cause, "reason", cause)
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return "has a name that can't be resolved"
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return "can't be connected to"
    return "closed the connection without an answer"

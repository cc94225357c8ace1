"""What an answer means: the one table from statuses to our errors.

| status | is |
|---|---|
| 404 | SecretMissing; also a deleted version of KV version 2, which comes with a body |
| 403 | SecretForbidden |
| 400, 405 | SecretMalformed; SecretConflict where a check-and-set has failed; SecretAway from a
KV engine that was mounted just now |
| 412, 429, 5xx, 3xx, anything else | SecretAway |

The first three are the store's own word only in its own form, a JSON object with `errors` or `data`:
a balancer before it, and a page for people, speak of themselves. What the server says is never
repeated: a policy's or a database's words may hold what nobody should read.
"""

from __future__ import annotations

from proxy.ports.secrets import (
    SecretAway,
    SecretConflict,
    SecretError,
    SecretForbidden,
    SecretMalformed,
    SecretMissing,
)
from proxy.secrets.vault.answers import TOO_LARGE, Answer

OF_ADDRESS = "see whether 'address' is that of the API, without /v1"

_OK = range(200, 300)
_REDIRECT = range(300, 400)
_REFUSED = frozenset({400, 403, 404, 405})
_NOT_READY = 400
_NOT_YET = 412
_TOO_MANY = 429
_FAILED = 500

_STANDBY = "stands by, and another server is active"
_OF_STATUS = {
    472: _STANDBY,
    473: _STANDBY,
    502: "has nobody behind it",
    504: "did not answer in time",
}


def refusal(answer: Answer, server: str, place: str) -> SecretError | None:
    """Return what is wrong with an answer, None where it is one. `place` is what was asked for."""
    status = answer.status
    if status in _OK:
        return _unreadable(answer, server, place)
    if status in _REFUSED and _is_own_word(answer):
        return _own_word(answer, server, place)
    return _away(answer, server, place)


def is_of_all(answer: Answer) -> bool:
    """Say whether whoever asks would fare the same.

    500 is one engine's trouble, such as a database that is down; 400 is an engine that was mounted just
    now; 429 may be one path's quota; 412 is one value that is not here yet.
    """
    of_one = {_NOT_READY, _NOT_YET, _TOO_MANY, _FAILED}
    return answer.status not in of_one and answer.garbled != TOO_LARGE


def _unreadable(answer: Answer, server: str, place: str) -> SecretError | None:
    if answer.garbled is None:
        return None
    if answer.garbled == TOO_LARGE:
        return SecretMalformed(f"{place} is {answer.garbled}")
    return SecretAway(
        f"{server} answered with {answer.garbled}",
        hint=OF_ADDRESS,
    )


def _is_own_word(answer: Answer) -> bool:
    return isinstance(answer.body.get("errors"), list) or isinstance(answer.body.get("data"), dict)


def _own_word(answer: Answer, server: str, place: str) -> SecretError:
    if answer.status == 403:
        hint = "'brain secrets policy FILE' prints what the file needs, for all callers"
        return SecretForbidden(f"{server} forbids {place}", hint=hint)
    if answer.status == 404:
        if answer.says("no handler for route"):
            hint = "see 'mount' and 'mounts' in the section secrets.vault"
            return SecretMissing(f"nothing is mounted at {place}", hint=hint)
        return SecretMissing(f"there is no {place}")
    if answer.says("unavailable for a brief period"):
        return SecretAway(f"{server} is making {place} ready")
    if answer.says("check-and-set"):
        return SecretConflict(f"{place} has been written since it was read")
    hint = "see whether 'engine' is what is mounted there"
    return SecretMalformed(
        f"{server} takes no such request for {place} ({answer.status})", hint=hint
    )


def _away(answer: Answer, server: str, place: str) -> SecretError:
    status, after = answer.status, answer.retry_after
    if status in _REDIRECT:
        hint = (
            "name the address of the API itself; a standby must forward requests, not redirect them"
        )
        message = f"{server} answered with a redirect ({status}), which is never followed"
        return SecretAway(message, hint=hint)
    if status == _TOO_MANY:
        message = f"{server} has too many requests (429)"
        return SecretAway(message, retry_after=after)
    if status == _NOT_YET:
        return SecretAway(f"{server} is behind the active server (412)", retry_after=after)
    if answer.says("sealed"):
        return SecretAway(f"{server} is sealed ({status})", retry_after=after)
    if status == _FAILED:
        message = f"{server} failed at {place} (500)"
        return SecretAway(message, hint="its log says why", retry_after=after)
    what = _OF_STATUS.get(
        status, "can't be asked" if status > _FAILED else "did not answer as a store"
    )
    remedy = None if status > _FAILED or status in _OF_STATUS else OF_ADDRESS
    return SecretAway(f"{server} {what} ({status})", hint=remedy, retry_after=after)

"""An explanation as JSON-able data: stable keys, places as file:line, credentials hidden.

It is the one way out: the text for people is made of the same data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from proxy.config.models import Place
from proxy.errors import GatewayError
from proxy.explaining.chain import Step
from proxy.explaining.facts import Explanation
from proxy.explaining.masks import Masks
from proxy.explaining.question import aim
from proxy.explaining.retries import Retry
from proxy.explaining.sending import Outgoing
from proxy.explaining.told_routes import named, near_miss, origin_of, place_of, route
from proxy.explaining.told_shaping import mirror, split
from proxy.plugin.principal import Principal


def as_json(told: Explanation, masks: Masks) -> dict[str, Any]:
    """Return all of it; docs/explain.md says what each key holds."""
    winner = None if told.taken is None else told.taken.candidate
    others = [rival for rival in told.rivals if rival.candidate is not winner]
    return {
        "request": _request(told, masks),
        "answer": _answer(told.answer),
        "page": told.page,
        "plugin_page": told.plugin_page,
        "route": route(told, masks),
        "near_misses": [near_miss(rival, winner, masks) for rival in others],
        "nearest": named(told.nearest),
        "caller": _caller(told.principal, masks),
        "chain": list(map(_step, told.chain)),
        "outgoing": None if told.outgoing is None else _outgoing(told, told.outgoing, masks),
        "split": split(told, masks),
        "mirror": mirror(told),
        "retries": list(map(_retry, told.retries)),
        "settings": [
            {"name": one.name, "value": _value(one.value, masks), **origin_of(one.origin)}
            for one in (() if told.taken is None else told.taken.settings)
        ],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "identity": step.identity,
        "plugin": step.plugin,
        "stage": step.stage.name.lower(),
        "place": place_of(step.place),
        "authenticator": step.asks,
        "explains": list(step.lines),
        "error": step.error,
    }


def _retry(retry: Retry) -> dict[str, Any]:
    return {
        "reason": retry.reason,
        "codes": list(retry.codes),
        "only_reused_connection": retry.reused,
        "only_whole_body": retry.whole,
    }


def _value(value: Any, masks: Masks) -> Any:
    return masks.text(value) if isinstance(value, str) else value


def _request(told: Explanation, masks: Masks) -> dict[str, Any]:
    client = told.client
    target = masks.target(aim(told.question.target)[1])
    return {
        "method": masks.text(told.question.method),
        "asked_method": masks.text(told.method),
        "target": target,
        "path": None if told.path is None else masks.text(told.path),
        "query": target.partition("?")[2],
        "host": masks.text(client.host),
        "client": client.address,
        "scheme": client.scheme,
        "trusted_proxy": client.trusted,
        "headers": [
            {"name": masks.text(name), "value": masks.header(name, value)}
            for name, value in told.question.headers
        ],
    }


def _answer(error: GatewayError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "headers": dict(error.headers),
    }


def _caller(principal: Principal | None, masks: Masks) -> dict[str, Any] | None:
    if principal is None:
        return None
    return {
        "subject": masks.text(principal.subject),
        "tenant": None if principal.tenant is None else masks.text(principal.tenant),
        "roles": _sorted(principal.roles, masks),
        "scopes": _sorted(principal.scopes, masks),
        "by": principal.by,
        "verified": False,
    }


def _sorted(words: frozenset[str], masks: Masks) -> list[str]:
    return [masks.text(word) for word in sorted(words)]


def _outgoing(told: Explanation, sent: Outgoing, masks: Masks) -> dict[str, Any]:
    places: Sequence[Place | None] = () if told.taken is None else told.taken.targets
    return {
        "method": masks.text(sent.method),
        "target": masks.target(sent.target),
        "balance": sent.balance.policy.value,
        "targets": [
            {
                "url": aim.url,
                "host": masks.text(aim.host),
                "weight": aim.weight,
                "backup": aim.backup,
                "nowhere": aim.nowhere,
                "place": place_of(place),
            }
            for aim, place in zip(sent.aims, places, strict=True)
        ],
        "headers": [
            {
                "name": masks.text(one.name),
                "value": masks.header(one.name, one.value),
                "from": one.by,
            }
            for one in sent.sent
        ],
        "dropped": [
            {
                "name": masks.text(one.name),
                "value": masks.header(one.name, one.value),
                "reason": one.reason,
                "owners": list(one.owners),
            }
            for one in sent.dropped
        ],
    }

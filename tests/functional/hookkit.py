"""The plugin `webhook` with secrets that stand in the test."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from plugins.webhook import Webhook
from plugins.webhook.hmacs import HmacVerifier
from proxy import PluginContext

VALUES = {"one": "whsec_5bc2", "two": "whsec_77aa"}
SECRET = VALUES["one"]


def _schema() -> Mapping[str, Any]:
    schema = copy.deepcopy(dict(Webhook.schema))
    schema["properties"]["secrets"]["items"] = {"type": "string"}
    return schema


class Known:
    def __init__(self, name: str) -> None:
        self.current = VALUES[name]


class PLUGIN(Webhook):
    schema: ClassVar[Mapping[str, Any]] = _schema()

    async def _made_verifier(self, context: PluginContext) -> HmacVerifier:
        return HmacVerifier(self._scheme, [Known(name) for name in self._given["secrets"]])  # type: ignore[union-attr]


def hook(provider: str, **options: Any) -> str:
    """Return the chain's entry."""
    given = {"provider": provider, "secrets": ["one"], **options}
    use = {"use": "tests.functional.hookkit:PLUGIN", "as": "hook", "with": given}
    return json.dumps(use)

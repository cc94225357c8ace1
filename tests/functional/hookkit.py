"""The plugin `webhook` in a file whose secrets stand in the environment."""

from __future__ import annotations

import json
from typing import Any

VALUES = {"one": "whsec_5bc2", "two": "whsec_77aa"}
SECRET = VALUES["one"]
ENVIRONMENT = {f"HOOK_SHOP_{name.upper()}": value for name, value in VALUES.items()}
STORES = "secrets: {env: {prefix: HOOK_}}"


def hook(provider: str, secrets: tuple[str, ...] = ("one",), **options: Any) -> str:
    """Return the chain's entry; `secrets` are names of VALUES."""
    references = [{"secret": "shop", "field": name} for name in secrets]
    return json.dumps({"webhook": {"provider": provider, "secrets": references, **options}})

"""What the stand-ins ask of whoever calls them, and where a secret store keeps it.

Known to everyone on purpose, as the demo's key is: they open stand-ins on loopback and nothing else.
"""

from collections.abc import Mapping
from typing import Final

from proxy.demo.issuer import TENANTS

CRM_KEYS: Final[Mapping[str, str]] = {f"crm-key-of-{tenant}": tenant for tenant in TENANTS}
"""Each tenant has an account at the CRM: whose it is, by key."""

LAGO_KEY: Final = "lago-key-of-the-platform"
"""All tenants share one account for billing."""

CREDENTIALS: Final[Mapping[str, Mapping[str, str]]] = {
    **{
        f"tenants/{tenant}/connectors/django-crm": {"api_key": key}
        for key, tenant in CRM_KEYS.items()
    },
    "platform/lago": {"api_key": LAGO_KEY},
}
"""By the paths that routes.yaml names, with their fields."""

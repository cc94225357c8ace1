"""`identity-headers`: tells the upstream who calls, by headers that no client can write."""

from plugins.identity_headers.plugin import IdentityHeaders

__all__ = ["IdentityHeaders"]

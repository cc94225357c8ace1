"""Who was authenticated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, as an authenticator proved it. `by` is that authenticator's identity.

    `ambient` says that browsers send its credential by themselves, as they do cookies and Basic: then
    a page of another site may be behind an unsafe request, and the gateway asks for its origin.
    """

    subject: str
    tenant: str | None = None
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    by: str = ""
    ambient: bool = False

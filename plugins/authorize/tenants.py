"""Which tenant a rule asks for."""

from __future__ import annotations

from urllib.parse import parse_qsl

from proxy import Exchange, Template

SOURCES = ("request.path.", "request.query.")
"""What a tenant may be compared with: a header may come twice, and each upstream reads another one."""


class TenantTest:
    """A caller must have a tenant; with `equals`, the one that the request names."""

    __slots__ = ("_alone", "equals")

    def __init__(self, equals: Template | None) -> None:
        self.equals = equals
        name = equals.names[0] if equals is not None and equals.names else ""
        # Mostly it is one value and nothing beside it: that needs no template.
        self._alone = name if equals is not None and equals.text == f"${{{name}}}" else ""

    def holds(self, tenant: str | None, exchange: Exchange) -> bool:
        """Tell whether this tenant may send this request. What can't be read is nobody's."""
        if not tenant:
            return False
        if self.equals is None:
            return True
        if self._alone:
            return _value(self._alone, exchange) == tenant
        try:
            asked = self.equals.render(lambda name: _value(name, exchange), quote=False)
        except (LookupError, ValueError):
            return False
        return asked == tenant

    def implied_by(self, other: TenantTest | None) -> bool:
        """Tell whether whoever fulfils the `other` fulfils this one too."""
        return other is not None and self.equals in (None, other.equals)

    def __str__(self) -> str:
        return "a tenant" if self.equals is None else f"tenant {self.equals.text}"


def _value(name: str, exchange: Exchange) -> str | None:
    _, kind, key = name.split(".", 2)
    if kind == "path":
        return exchange.path_value(key)
    # As the upstream will see it. Of a parameter that is there twice, some read the first, some
    # the last.
    pairs = parse_qsl(exchange.outgoing.query, keep_blank_values=True)
    given = [value for found, value in pairs if found == key]
    return given[0] if len(given) == 1 else None

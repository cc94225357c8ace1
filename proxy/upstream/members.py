"""Who the targets of an upstream are: those of the file, and as many for a name as it has addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy.config.models import TargetSpec, UpstreamSpec
from proxy.upstream.resolver import Resolver, SocketAddress, is_name
from proxy.upstream.standing import Standing, watched
from proxy.upstream.target import Target

if TYPE_CHECKING:
    from ssl import SSLContext

Key = tuple[TargetSpec, tuple[SocketAddress, ...] | None]


class Members:
    """Makes targets, and keeps those whose address stays."""

    def __init__(
        self,
        spec: UpstreamSpec,
        context: SSLContext | None,
        resolver: Resolver,
        kind: type[Target] = Target,
    ) -> None:
        """`context` is None where no target speaks TLS; `kind` is what makes the targets."""
        self._spec = spec
        self._context = context
        self._resolver = resolver
        self._kind = kind
        self._addresses: dict[tuple[str, int], tuple[SocketAddress, ...]] = {}
        self._known: dict[Key, Target] = {}
        self._inherited: dict[str, Standing] = {}
        self.names = {(one.host, one.port) for one in spec.targets if is_name(one.host)}

    def inherit(self, former: Members) -> None:
        """Take over what is known of an upstream that this one replaces: call before the first `all`.

        Where the way of watching targets differs, what was found by the old one says nothing.
        """
        known = former._addresses.items()
        self._addresses.update((name, found) for name, found in known if name in self.names)
        if watched(former._spec) == watched(self._spec):
            targets = former._known.values()
            standings = {one.label: one.standing for one in targets if one.standing is not None}
            self._inherited.update(standings)

    def all(self) -> tuple[Target, ...]:
        """Return the targets as they are now; those that are no more are marked `gone`."""
        keys = [key for spec in self._spec.targets for key in self._keys(spec)]
        known = {key: self._known.get(key) or self._make(key) for key in keys}
        for key in self._known.keys() - known.keys():
            self._known[key].gone = True
        self._known = known
        # With the last group that has it a standing's timers end: later it would never change.
        self._inherited.clear()
        return tuple(known.values())

    def found(self, host: str, port: int, addresses: tuple[SocketAddress, ...]) -> bool:
        """Note what a name means now. Return whether that changes who the targets are."""
        before = self._addresses.get((host, port), ())
        self._addresses[host, port] = addresses
        several = len(_alike(before)) > 1 or len(_alike(addresses)) > 1
        # The order of addresses is the name server's dice.
        return several and set(before) != set(addresses)

    def _keys(self, spec: TargetSpec) -> Iterator[Key]:
        addresses = self._addresses.get((spec.host, spec.port), ())
        alike = _alike(addresses)
        if len(alike) < 2:
            yield spec, None
            return
        # Sorted too: in another order they would make another target of each.
        others = tuple(sorted((each for each in addresses if each not in alike), key=repr))
        for address in sorted(alike, key=repr):
            yield spec, (address, *others)

    def _make(self, key: Key) -> Target:
        spec, addresses = key
        target = self._kind(spec, self._spec.tls, self._resolver, self._context, addresses)
        target.standing = self._inherited.get(target.label)
        return target


def _alike(addresses: tuple[SocketAddress, ...]) -> tuple[SocketAddress, ...]:
    """Return the addresses of the family that comes first (RFC 6724).

    `localhost` is ::1 and 127.0.0.1 and one server: the other family is another way, no other target.
    """
    return tuple(each for each in addresses if each[0] == addresses[0][0])

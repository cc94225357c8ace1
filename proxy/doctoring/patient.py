"""One target while it is looked at: what it belongs to, how to ask it, what it answers normally."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy import paths
from proxy.config.models import TargetSpec
from proxy.doctoring.asking import Ask, Asker, Reply
from proxy.doctoring.subjects import Known, Subject

MOST_PATHS = 8
"""Known paths of one upstream that are asked for."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller said. `idle_wait` is in seconds, `paths` are below each upstream's path.

    `unsafe` allows requests that a target may act on.
    """

    idle_wait: float = 15.0
    public_host: str | None = None
    paths: tuple[str, ...] = ()
    unsafe: bool = False


@dataclass(slots=True)
class Patient:
    """`normal` is the answer for the upstream's own root, asked as the gateway would ask for it.

    A check that finds a better `Host` puts both in place of those that fail, for the checks behind it.
    """

    subject: Subject
    target: TargetSpec
    options: Options
    asker: Asker
    normal: Reply

    @property
    def known(self) -> Sequence[Known]:
        """The paths that are known to exist, those of the caller first; not more than may be asked."""
        given = [Known(paths.join(self.subject.spec.path, path)) for path in self.options.paths]
        return (*given, *self.subject.known)[:MOST_PATHS]

    async def ask(self, ask: Ask) -> Reply:
        """Ask this target."""
        return await self.asker.ask(ask)


def hosts_of(subject: Subject, target: TargetSpec, public_host: str | None) -> list[str]:
    """Return every `Host` that this target gets, the most usual first.

    A preserved one is the client's: it is known only where the caller said it.
    """
    written = [route.host for route in subject.routes] or [None]
    sent = [
        target.authority if host is None else public_host if host == "preserve" else host
        for host in written
    ]
    known = [host for host in sent if host is not None]
    return sorted(dict.fromkeys(known), key=known.count, reverse=True) or [target.authority]

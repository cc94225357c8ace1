"""A start: the files, or the last good revision where they can't be served."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from proxy.config.load import Loaded, load
from proxy.config.state_dir import state_dir_of
from proxy.config.texts import Kept
from proxy.errors import ConfigError
from proxy.plugin.catalog import Catalog
from proxy.revisions.store import NotKept, Store
from proxy.revisions.times import moment
from proxy.runtime.told import Refused, Told, log_told, told

log = logging.getLogger("brain.revisions")


class CantStart(ConfigError):
    """Nothing can be served. Its text is all that is to be said, each reason with its own remedy."""


class NotBuilt(ConfigError):
    """Files that are good to read, of which no snapshot could be made: `why`, a plugin refused."""

    def __init__(self, why: ConfigError) -> None:
        self.why = why
        super().__init__(str(why), hint=why.hint)


@contextmanager
def building() -> Iterator[None]:
    """Raise NotBuilt for what refuses the building of the first snapshot."""
    try:
        yield
    except ConfigError as error:
        raise NotBuilt(error) from error


def refusal_of(error: ConfigError) -> str:
    """Return what stands on the terminal when nothing can be served."""
    if isinstance(error, NotBuilt):
        return refusal_of(error.why)
    if isinstance(error, CantStart):
        return str(error)
    if isinstance(error, Refused):
        return "\n".join(each.text for each in error.told)
    return f"error: {error}" + (f"\n  {error.hint}" if error.hint else "")


class Instead(NamedTuple):
    """A kept revision that serves though files were asked for: what is wrong with those.

    `files` are those that were read: whoever mends one of them wants it loaded. `damaged` are newer
    revisions that could not be read, each with its reason.
    """

    kept: Kept
    damaged: tuple[str, ...]
    refusal: str
    told: Sequence[Told]
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """The revision and its time in a few words."""
        return f"revision {self.kept.revision[:12]} of {moment(self.kept.accepted)}"

    def tell(self) -> None:
        """Log each diagnostic as a record of its own, then what serves."""
        log_told(log, self.told)
        for each in self.damaged:
            log.warning("%s", each)
        summary = "" if self.told else f" ({self.refusal})"
        log.error("the files are refused%s: serving %s instead", summary, self.name)


class Begun(NamedTuple):
    """What is to be served, its `config` not None, and whether that is instead of the files."""

    loaded: Loaded
    instead: Instead | None = None


def begin(
    files: Sequence[str],
    environment: Mapping[str, str],
    *,
    state_dir: str | None = None,
    strict: bool = False,
) -> Begun:
    """Load `files`; where they are bad, unless `strict`, the last good revision of the same files.

    `state_dir` is what the command line says over the files. Raises CantStart with what is wrong
    with the files and, where a revision is kept, with that.
    """
    loaded = load(files, environment=environment, catalog=Catalog())
    if loaded.config is not None:
        return Begun(loaded)
    refusal = loaded.render()
    where = None if strict else state_dir or state_dir_of(files, environment)
    if where is None:
        raise CantStart(refusal)
    instead = Instead(
        *_kept(where, files, refusal), refusal, told(loaded.diagnostics), loaded.files
    )
    return Begun(_loaded_again(instead, environment), instead)


def begin_again(
    begun: Begun,
    refused: NotBuilt,
    files: Sequence[str],
    environment: Mapping[str, str],
    *,
    state_dir: str | None = None,
) -> Begun:
    """Return the last good revision for files of which nothing could be built.

    Raises CantStart with all reasons where there is none, or where it is what was refused.
    """
    config = begun.loaded.config
    assert config is not None
    refusal = refusal_of(refused)
    if begun.instead is not None:
        raise CantStart(_both(begun.instead, refusal))
    where = state_dir or config.gateway.state_dir
    if where is None:
        raise CantStart(refusal)
    kept, damaged = _kept(where, files, refusal)
    if kept.revision == config.revision:
        raise CantStart(f"{refusal}\nthe last good revision is the same")
    found = refused.why.told if isinstance(refused.why, Refused) else ()
    instead = Instead(kept, damaged, refusal, found, config.watched)
    return Begun(_loaded_again(instead, environment), instead)


def _kept(where: str, files: Sequence[str], refusal: str) -> tuple[Kept, tuple[str, ...]]:
    """Return the newest revision of `files` that can be read, and why newer ones can't."""
    damaged: list[str] = []
    store = Store(where)
    try:
        for revision in store.newest_of(files):
            try:
                return store.read(revision), tuple(damaged)
            except NotKept as error:
                damaged.append(str(error))
    except OSError as error:
        damaged.append(error.strerror or str(error))
    nothing = f"no revision of {', '.join(files)} is kept in {where} to serve instead"
    raise CantStart("\n".join([refusal, nothing, *damaged]))


def _loaded_again(instead: Instead, environment: Mapping[str, str]) -> Loaded:
    kept = instead.kept
    loaded = load(kept.files, environment=environment, catalog=Catalog(), texts=kept.texts)
    if loaded.config is None:
        raise CantStart(_both(instead, loaded.render()))
    return loaded


def _both(instead: Instead, refusal: str) -> str:
    name = f"the last good one can't be served either, {instead.name}:"
    return f"{instead.refusal}\n{name}\n{refusal}"

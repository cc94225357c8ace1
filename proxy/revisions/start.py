"""A start: the files, or the last good revision where they can't be served."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from proxy.config.diagnostics import Diagnostic
from proxy.config.load import InvalidConfig, Loaded, load
from proxy.config.state_dir import state_dir_of
from proxy.config.texts import Kept
from proxy.errors import ConfigError
from proxy.plugin.catalog import Catalog
from proxy.revisions.store import NotKept, Store
from proxy.revisions.times import moment
from proxy.runtime.told import log_told, told

log = logging.getLogger("brain.revisions")


class Instead(NamedTuple):
    """A kept revision that serves though files were asked for: what is wrong with those.

    `files` are those that were read: whoever mends one of them wants it loaded.
    """

    kept: Kept
    refusal: str
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """The revision and its time in a few words."""
        return f"revision {self.kept.revision[:12]} of {moment(self.kept.accepted)}"

    def tell(self) -> None:
        """Log each diagnostic as a record of its own, then what serves."""
        log_told(log, told(self.diagnostics))
        summary = self.refusal.rpartition("\n")[2]
        log.error("the files are refused: %s; serving %s instead", summary, self.name)


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

    `state_dir` is what the command line says over the files. Raises ConfigError with what is wrong
    with the files and, where a revision is kept, with that.
    """
    loaded = load(files, environment=environment, catalog=Catalog())
    if loaded.config is not None:
        return Begun(loaded)
    refused = InvalidConfig(loaded)
    where = None if strict else state_dir or state_dir_of(files, environment)
    if where is None:
        raise refused
    try:
        kept = last_good(Store(where), files)
    except (NotKept, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{refused}\nnothing is kept in {where} to serve instead: {why}"
        ) from None
    instead = Instead(kept, str(refused), loaded.diagnostics, loaded.files)
    return Begun(_loaded_again(instead, environment), instead)


def last_good(store: Store, files: Sequence[str]) -> Kept:
    """Return the newest revision of `files` that can be read. Raises NotKept, OSError."""
    for revision in store.newest_of(files):
        try:
            return store.read(revision)
        except NotKept as error:
            log.warning("%s", error)
    raise NotKept(f"there is no revision of {', '.join(files)}")


def _loaded_again(instead: Instead, environment: Mapping[str, str]) -> Loaded:
    kept = instead.kept
    loaded = load(kept.files, environment=environment, catalog=Catalog(), texts=kept.texts)
    if loaded.config is None:
        raise ConfigError(
            f"{instead.refusal}\nthe last good one can't be served either, {instead.name}:\n"
            f"{loaded.render()}"
        )
    return loaded

"""From file names to a `Config`, or to all that is wrong with them."""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from proxy.config.chain import Chains
from proxy.config.coerce import coerce
from proxy.config.collisions import Collisions
from proxy.config.dangers import warn_of_dangers
from proxy.config.diagnostics import Diagnostic, Report, Severity
from proxy.config.dropins import read_dropins
from proxy.config.entries import Entries
from proxy.config.expanding import written_out
from proxy.config.files import Reader
from proxy.config.hiding import hide, hide_by_name
from proxy.config.levels import Levels
from proxy.config.models import Config
from proxy.config.process import compile_gateway, compile_log
from proxy.config.references import Reference, references_of
from proxy.config.registry import Registry
from proxy.config.routes import Routes
from proxy.config.schema import language
from proxy.config.secrets import compile_secrets, stores_of
from proxy.config.texts import FileText
from proxy.config.tree import Mapping as Tree
from proxy.config.tree import as_written, plain
from proxy.config.upstreams import Upstreams
from proxy.config.violations import violations
from proxy.config.work import Work
from proxy.config.workers import check_workers
from proxy.errors import ConfigError
from proxy.plugin.catalog import Catalog


@dataclass(frozen=True)
class Loaded:
    """What came of loading: `config` is None exactly when there is an error among `diagnostics`.

    `catalog` has the drop-ins that were loaded. `files` are all that were read, in order; `services`
    is how many were named, good or bad, None where the files could not be read as far as that. `root`
    is the tree with the places of all values, and `references` are those to stores of secrets, for who
    asked to keep them.
    """

    config: Config | None
    diagnostics: tuple[Diagnostic, ...]
    catalog: Catalog
    files: tuple[str, ...] = ()
    services: int | None = None
    root: Tree | None = None
    references: tuple[Reference, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the files can't be served."""
        return any(found.severity is Severity.ERROR for found in self.diagnostics)

    def render(self) -> str:
        """Return the diagnostics as text with carets, and the closing count."""
        from proxy.config.render import render_text  # a good start needs none of it

        return render_text(self.diagnostics, self.files, self.services)


class InvalidConfig(ConfigError):
    """Files that can't be served; its text is the rendered diagnostics."""

    def __init__(self, loaded: Loaded) -> None:
        self.diagnostics = loaded.diagnostics
        super().__init__(loaded.render())


def load(
    files: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    catalog: Catalog,
    run_plugins: bool = True,
    keep_tree: bool = False,
    texts: Sequence[FileText] | None = None,
) -> Loaded:
    """Read, lay over each other, check and compile `files`. Never raises for what is in them.

    `texts` are what `files` and those that they include once held: with them no file of the language
    is read, only what those name besides (certificates, drop-ins), as it is now.
    `run_plugins` False imports no plugin: options are then checked by the schemas that are shipped,
    and what can't be known of other plugins is not concluded from. `keep_tree` is for who explains
    where a value comes from, or asks for secrets: whoever serves would only hold the memory.
    """
    with _without_collections():
        report = Report()
        reader = Reader(environment, report, texts)
        registry = Registry(catalog, run_plugins=run_plugins)
        names = [str(name) for name in files]
        return _load(names, environment, registry, reader, report, keep_tree=keep_tree)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Pause the garbage collector: nothing is garbage before the end.

    Walking all that is built, again and again, costs a quarter of the time with 10,000 services.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _load(
    files: Sequence[str],
    environment: Mapping[str, str],
    registry: Registry,
    reader: Reader,
    report: Report,
    *,
    keep_tree: bool,
) -> Loaded:
    tree = reader.read_all(files)
    names = tuple(source.name for source in reader.sources)
    if tree is None:
        _hide(reader, report)
        return Loaded(None, tuple(report), registry.catalog, names)
    work = Work(
        tree,
        plain(tree),
        environment,
        registry,
        report,
        complete=reader.complete,
        sources=len(reader.sources),
    )
    read_dropins(work)
    folders = [*reader.folders, *([work.plugins_folder] if work.plugins_folder else ())]
    texts = tuple(
        FileText(source.name, source.text, source.order >= len(files)) for source in reader.sources
    )
    config = replace(_compile(work, names, tuple(folders)), texts=texts)
    _hide(reader, report, work, keep_tree=keep_tree)
    services = work.data.get("services")
    count = len(services) if isinstance(services, dict) else 0
    served = None if report.failed else config
    loaded = Loaded(served, tuple(report), registry.catalog, names, count)
    if not keep_tree:
        return loaded
    return replace(loaded, root=tree, references=tuple(references_of(work, stores_of(work))))


def _hide(
    reader: Reader, report: Report, work: Work | None = None, *, keep_tree: bool = False
) -> None:
    """Hide credentials in what is shown; where nothing is, nobody looks for them.

    Who keeps the tree may show lines later.
    """
    if not len(report) and not keep_tree:
        return
    for source in reader.sources:
        hide_by_name(source, readable=work is not None)
    if work is not None:
        hide(work.root, language(), work.registry.schema)


def load_or_raise(
    files: Sequence[str | Path], *, environment: Mapping[str, str], catalog: Catalog
) -> Loaded:
    """Return what `load` does, its `config` not None. Raises InvalidConfig."""
    loaded = load(files, environment=environment, catalog=catalog)
    if loaded.config is None:
        raise InvalidConfig(loaded)
    return loaded


def _compile(work: Work, names: tuple[str, ...], folders: tuple[str, ...]) -> Config:
    coerce(language(), work.root, work.data, work.registry.schema, work.report)
    work.mark_broken(violations(language(), work.data, work.root, (), work.report).broken)
    gateway = compile_gateway(work)
    log = compile_log(work)
    entries, upstreams = Entries(work), Upstreams(work)
    levels = Levels(work, Chains(work, entries))
    routes = Routes(work, levels, upstreams, gateway.base_path)
    routes.compile()
    Collisions(work, gateway, routes.services, routes.routes).report()
    everything = [*routes.routes, *([routes.fallback] if routes.fallback else ())]
    warn_of_dangers(work, everything, upstreams.specs)
    secrets = compile_secrets(work)
    check_workers(work, gateway.workers, upstreams.specs, entries.entries, secrets)
    return Config(
        gateway=gateway,
        log=log,
        entries=tuple(entries.entries),
        upstreams=tuple(upstreams.specs),
        services=tuple(routes.services),
        routes=tuple(routes.routes),
        fallback=routes.fallback,
        global_chain=levels.outer.chain.without_route,
        revision=_revision(work),
        effective=json.dumps(_effective(work), default=str),
        watched=(*names, *work.read_files),
        watched_folders=folders,
        dropins=work.dropins,
        secrets=secrets,
    )


def _revision(work: Work) -> str:
    """Hash what the files mean: a comment changes nothing, a renewed certificate does."""
    resolved: dict[str, Any] = _without_notes(work.data)
    digest = hashlib.sha256(json.dumps(resolved).encode())
    for name, content in sorted(work.read_files.items()):
        digest.update(
            f"\0{name}\0{hashlib.sha256(content).hexdigest()}".encode(errors="surrogateescape")
        )
    return digest.hexdigest()


def _effective(work: Work) -> dict[str, Any]:
    shown: dict[str, Any] = written_out(_without_notes(as_written(work.root)), work.registry)
    return shown


def _without_notes(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if not key.startswith("x-")}

"""The section `secrets:`, and whether it has the stores that options refer to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proxy.config.codes import Code
from proxy.config.diagnostics import listed, nearest
from proxy.config.models import EnvSecrets, FileSecrets, SecretStores
from proxy.config.tree import Path
from proxy.config.work import Work
from proxy.plugin.references import STORE_KEY
from proxy.ports.secrets import SecretRef

SECTION = "secrets"


def compile_secrets(work: Work) -> SecretStores:
    """Return the stores of the file."""
    return SecretStores(_file(work), _env(work))


def _file(work: Work) -> FileSecrets | None:
    given = work.get(SECTION, "file")
    if not isinstance(given, dict):
        return None
    path = given.get("path", FileSecrets().path)
    return FileSecrets(
        work.relative((SECTION, "file", "path"), path), given.get("group_read", False)
    )


def _env(work: Work) -> EnvSecrets | None:
    given = work.get(SECTION, "env")
    if not isinstance(given, dict):
        return None
    prefix = given.get("prefix", EnvSecrets().prefix)
    every = work.environment.items()
    return EnvSecrets(prefix, {name: value for name, value in every if name.startswith(prefix)})


def check_references(work: Work, options: Any, path: Path) -> bool:
    """Report references to stores that the file does not have; say whether all are good."""
    stores = _stores(work)
    bad = [(at, found) for found, at in _references(options, path) if not _leads(found, stores)]
    for at, found in bad:
        _report(work, found, at, stores)
    return not bad


def _stores(work: Work) -> tuple[str, ...]:
    """Return the names that stand in the section: what is wrong below them is told there."""
    section = work.data.get(SECTION)
    return (
        tuple(name for name in section if name in ("file", "env"))
        if isinstance(section, dict)
        else ()
    )


def _references(value: Any, path: Path) -> Iterator[tuple[SecretRef, Path]]:
    if isinstance(value, SecretRef):
        yield value, path
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _references(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _references(below, (*path, index))


def _leads(reference: SecretRef, stores: tuple[str, ...]) -> bool:
    return len(stores) == 1 if reference.store is None else reference.store in stores


def _report(work: Work, reference: SecretRef, path: Path, stores: tuple[str, ...]) -> None:
    if not stores:
        message = "there is no section 'secrets': nothing says where this is kept"
        hint = "add 'secrets: {file: {}}' for files, or 'secrets: {env: {}}' for the environment"
        work.report.error(Code.STORE, message, work.key(*path), hint)
    elif reference.store is None:
        message = "which store keeps this is not said, and there are several"
        hint = f"add 'store: {stores[0]}' or 'store: {stores[1]}'"
        work.report.error(Code.STORE, message, work.key(*path), hint)
    else:
        message = f"there is no store '{reference.store}' in the section 'secrets'"
        hint = nearest(reference.store, stores) or f"known: {listed(stores, 'and')}"
        work.report.error(Code.STORE, message, work.value(*path, STORE_KEY), hint)

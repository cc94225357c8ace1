"""The section `secrets:`, and whether it has the stores that options refer to."""

from __future__ import annotations

from typing import Any

from proxy.config.codes import Code
from proxy.config.diagnostics import listed, nearest
from proxy.config.models import EnvSecrets, FileSecrets, SecretStores
from proxy.config.tree import Path
from proxy.config.vault import compile_vault
from proxy.config.work import Work
from proxy.plugin.references import STORE_KEY
from proxy.plugin.referring import Referred, referred

SECTION = "secrets"
_ENV = "env"


def compile_secrets(work: Work) -> SecretStores:
    """Return the stores of the file."""
    return SecretStores(_file(work), _env(work), compile_vault(work))


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


def checked_references(work: Work, options: Any, path: Path) -> tuple[Referred, ...] | None:
    """Return the references of options; report those to stores that the file lacks, and return None."""
    stores = stores_of(work)
    every = tuple(referred(options))
    bad = [found for found in every if not _leads(found, stores)]
    for found in bad:
        _report(work, found, path, stores)
    return None if bad else every


def stores_of(work: Work) -> tuple[str, ...]:
    """Return the names that stand in the section: what is wrong below them is told there."""
    section = work.data.get(SECTION)
    return (
        tuple(name for name in section if name in ("file", "env", "vault"))
        if isinstance(section, dict)
        else ()
    )


def _leads(found: Referred, stores: tuple[str, ...]) -> bool:
    store = _store_of(found, stores)
    return store in stores and (found.path.literal or store != _ENV)


def _store_of(found: Referred, stores: tuple[str, ...]) -> str | None:
    return stores[0] if found.store is None and len(stores) == 1 else found.store


def _report(work: Work, found: Referred, path: Path, stores: tuple[str, ...]) -> None:
    if not stores:
        message = "there is no section 'secrets': nothing says where this is kept"
        hint = "add 'secrets: {file: {}}' for files, or 'secrets: {env: {}}' for the environment"
        work.report.error(Code.STORE, message, work.key(*path, *found.around), hint)
    elif found.store is None and len(stores) > 1:
        message = "which store keeps this is not said, and there are several"
        hint = f"add 'store: {stores[0]}' or 'store: {stores[1]}'"
        work.report.error(Code.STORE, message, work.key(*path, *found.around), hint)
    elif _store_of(found, stores) not in stores:
        message = f"there is no store '{found.store}' in the section 'secrets'"
        hint = nearest(found.store or "", stores) or f"known: {listed(stores, 'and')}"
        work.report.error(Code.STORE, message, work.value(*path, *found.around, STORE_KEY), hint)
    else:
        message = "the environment can't tell callers apart: a-b and a_b are the same variable"
        hint = "keep what belongs to one caller in another store"
        work.report.error(Code.STORE, message, work.value(*path, *found.at), hint)

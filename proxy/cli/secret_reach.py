"""Whether the secrets that files need can be read from here, as who asks; no value is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from proxy.config.codes import Code
from proxy.config.diagnostics import Diagnostic, Report
from proxy.config.load import Loaded
from proxy.config.models import SecretStores
from proxy.config.references import Reference
from proxy.ports.secrets import Secret, SecretAway, SecretError, SecretStore
from proxy.secrets.opening import store_makers
from proxy.secrets.telling import state_of_error

AT_ONCE = 16
"""Secrets that are read at the same time."""

PATIENCE = 10.0
"""Seconds for each, a login included."""

OK, LACKING, UNFIT = "ok", "lacks field", "unfit"
NEEDS, UNTRIED = "needs a caller", "untried"
"""What may be told beside the words of `proxy.secrets.telling.STATES`."""

_WRAPPED = "the secret_id is wrapped: it can be opened once, and the gateway needs it"


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one reference. `path` has the values of the caller in it, where they were given.

    `why` says what is wrong, or which values are needed; `hint` what to do about it.
    """

    reference: Reference
    path: str
    state: str
    version: int | None = None
    why: str | None = None
    hint: str | None = None


Values = Mapping[str, str]
"""Values of a caller by the names that paths have for them: `principal.tenant`, `claims.sub`."""

Place = tuple[str, str]
"""A store and a path of it."""


def tried(section: SecretStores, references: Sequence[Reference], values: Values) -> list[Tried]:
    """Ask the stores of a file for what it refers to. Raises NotInPath for a value that is no name."""
    # What a store would log is told at each reference: without a handler it would go to stderr.
    logging.getLogger("brain.secrets").addHandler(logging.NullHandler())
    return asyncio.run(_all_tried(section, references, values))


async def _all_tried(
    section: SecretStores, references: Sequence[Reference], values: Values
) -> list[Tried]:
    """Open the stores, ask, and close them.

    Each path is read once; what was leased for that is given back.
    """
    spelt = [_spelt(each, values) for each in references]
    stores = {
        one.name: one.make().store for one in store_makers(section) if _may(section, one.name)
    }
    try:
        places = {(each.store, path) for each, path in zip(references, spelt, strict=True) if path}
        read = await _all_read(stores, sorted(places))
        return [
            _tried(stores.get(each.store), each, path, read)
            for each, path in zip(references, spelt, strict=True)
        ]
    finally:
        for store in stores.values():
            await store.close()


def _spelt(reference: Reference, values: Values) -> str | None:
    """Return the path for a caller, None where a value is not known."""
    path = reference.path
    return path.at(values) if all(name in values for name in path.names) else None


def _may(section: SecretStores, name: str) -> bool:
    """Say whether opening a store takes nothing away from the gateway."""
    return name != "vault" or section.vault is None or not section.vault.auth.wrapped


Read = Mapping[Place, Secret | SecretError]


async def _all_read(stores: Mapping[str, SecretStore], places: Sequence[Place]) -> Read:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(store: SecretStore, path: str) -> Secret | SecretError:
        async with slots:
            return await _read(store, path)

    asked = [place for place in places if place[0] in stores]
    found = await asyncio.gather(*(one(stores[name], path) for name, path in asked))
    return dict(zip(asked, found, strict=True))


async def _read(store: SecretStore, path: str) -> Secret | SecretError:
    try:
        async with asyncio.timeout(PATIENCE):
            secret = await store.get(path)
    except SecretError as error:
        return error
    except TimeoutError:
        return SecretAway(f"the store takes longer than {PATIENCE:g} s")
    if secret.lease is not None:
        with suppress(SecretError):  # it ends by itself, if later
            await store.revoke(secret.lease)
    return secret


def _tried(store: SecretStore | None, reference: Reference, path: str | None, read: Read) -> Tried:
    if path is None:
        return Tried(reference, reference.path.text, NEEDS, why=_needed(reference))
    if store is None:
        return Tried(reference, path, UNTRIED, why=_WRAPPED)
    found = read[reference.store, path]
    field = next(iter(reference.fields), "value")
    if isinstance(found, SecretError):
        nothing_to_write = isinstance(found, SecretAway)
        hint = found.hint or (None if nothing_to_write else store.remedy(path, field))
        return Tried(reference, path, state_of_error(found), why=str(found), hint=hint)
    return _with_fields(store, reference, path, found)


def _with_fields(store: SecretStore, reference: Reference, path: str, secret: Secret) -> Tried:
    try:
        lacking = [name for name in reference.fields if not secret.fields.get(name)]
    except SecretError as error:
        return Tried(reference, path, state_of_error(error), secret.version, str(error), error.hint)
    if not lacking:
        reasons = _judged(reference, secret)
        state, why = (UNFIT, "; ".join(reasons)) if reasons else (OK, None)
        return Tried(reference, path, state, secret.version, why)
    why = f"it has no {' and no '.join(map(repr, lacking))}"
    hint = store.remedy_of_field(path, lacking[0])
    return Tried(reference, path, LACKING, secret.version, why, hint)


def _judged(reference: Reference, secret: Secret) -> list[str]:
    """Ask the plugin whether it could use a secret: in the words of its own log, which hold no value."""
    if reference.judge is None:
        return []
    try:
        return reference.judge(secret)
    except Exception as error:  # a plugin may fail in any way, and its words may hold anything
        return [f"its plugin could not judge it: {type(error).__name__}"]


def _needed(reference: Reference) -> str:
    """Say which options of `brain secrets check` give the values of a path."""
    return " ".join(f"--{option_of(name)}" for name in reference.path.names)


def option_of(name: str) -> str:
    """Return the option that gives a value: `tenant T`, `claim sub=VALUE`."""
    if name == "principal.tenant":
        return "tenant T"
    return f"claim {'sub' if name == 'principal.subject' else name.removeprefix('claims.')}=VALUE"


# -- what is wrong


def troubles(found: Iterable[Tried]) -> list[Diagnostic]:
    """Return a diagnostic for each that is wrong: a warning where the file serves without."""
    every, report = list(found), Report()
    there = {each.reference.one_of for each in every if each.state == OK}
    for each in every:
        missing = each.state == "missing"
        if each.state in (OK, NEEDS) or (missing and each.reference.one_of in there):
            continue
        mild = each.state == UNTRIED or (missing and not each.reference.required)
        (report.warn if mild else report.error)(
            Code.SECRET, _message(each), each.reference.span, each.hint
        )
    return list(report)


def _message(found: Tried) -> str:
    fields = f"#{','.join(found.reference.fields)}" if found.reference.fields else ""
    return f"secret {found.path}{fields} of '{found.reference.store}': {found.why}"


def with_secrets(loaded: Loaded) -> Loaded:
    """Return `loaded` with a diagnostic for each secret that is the same for all and can't be read."""
    literal = [each for each in loaded.references if each.path.literal]
    if loaded.config is None or not literal:
        return loaded
    found = troubles(tried(loaded.config.secrets, literal, {}))
    return replace(loaded, diagnostics=(*loaded.diagnostics, *found))

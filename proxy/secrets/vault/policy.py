"""The least policy with which a token serves the references of a file, as HCL.

The manual's page "Policies" is followed: `+` stands for one segment of a path, and what is not named
is denied. Nothing is asked for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from proxy.config.models import VaultSecrets
from proxy.secrets.vault.places import Place, Places

_ANY = "+"
_STAND_IN = "x-any-value-x"
"""What stands for a value of the caller until the mount is known: `+` is in no path of a secret."""

_LEASED = frozenset({"dynamic", "pki"})


@dataclass(frozen=True, slots=True)
class Need:
    """What one place of a file needs: `path` as it is written, `where` tells people of it."""

    path: str
    where: str
    writes: bool = False


@dataclass
class _Rule:
    """What may be done at one path of the API, and for whom. `leases` are those that it is for."""

    capabilities: set[str] = field(default_factory=set)
    notes: dict[str, None] = field(default_factory=dict)
    leases: dict[str, None] = field(default_factory=dict)


def policy(settings: VaultSecrets, needs: Iterable[Need], title: str) -> str:
    """Return the policy. Raises SecretMissing for what can't be read at all.

    It is for the namespace in which the gateway logs in. Of namespaces below that one the paths begin
    with their names; a mount in any other can't be read with the token of this one, which is told.
    """
    rules: dict[str, _Rule] = {}
    places, foreign = Places(settings), dict[str, None]()
    for need in needs:
        place = places.of_path(_stood_in(need.path))
        within = _within(settings.namespace, place.mount.namespace)
        if within is None:
            foreign[f"{place.path.replace(_STAND_IN, _ANY)} in '{place.mount.namespace}'"] = None
        else:
            _add(rules, within, place, need)
    for path, capability in _of_token(settings):
        _rule(rules, path, capability, "the gateway's own token")
    head = [f"# {_comment(each)}" for each in _head(settings, title, foreign)]
    return "\n".join([*head, *_written(rules)])


def _stood_in(path: str) -> str:
    """Return a path with a stand-in for each segment that holds a value of the caller."""
    return "/".join(_STAND_IN if "${" in each else each for each in path.split("/"))


def _within(outer: str, inner: str) -> str | None:
    """Return what leads from one namespace to another, with a slash; None where nothing does."""
    if inner == outer:
        return ""
    if outer and not inner.startswith(f"{outer}/"):
        return None
    return inner.removeprefix(f"{outer}/") + "/" if inner else None


def _add(rules: dict[str, _Rule], within: str, place: Place, need: Need) -> None:
    path = place.path.replace(_STAND_IN, _ANY)
    capability = "update" if place.mount.engine == "pki" else "read"
    rule = _rule(rules, within + path, capability, need.where)
    parts = [each for each in need.path.split("/") if _is_partial(each)]
    for part in parts:
        rule.notes[f"all of {part}, and whatever else is there: a rule knows whole names alone"] = (
            None
        )
    if need.writes and place.mount.engine == "kv2":
        # What replaces a version is an update; what was deleted is not brought back by it.
        rule.capabilities.add("update")
        rule.notes["new tokens are written back, in place of the version that was read"] = None
    if place.mount.engine in _LEASED:
        leases = _leases(path)
        for act in ("renew", "revoke"):
            _rule(rules, f"{within}sys/leases/{act}", "update", "its own leases").leases[leases] = (
                None
            )


def _rule(rules: dict[str, _Rule], path: str, capability: str, note: str) -> _Rule:
    rule = rules.setdefault(path, _Rule())
    rule.capabilities.add(capability)
    rule.notes[note] = None
    return rule


def _is_partial(segment: str) -> bool:
    """Say whether a segment has more than one value of the caller, or text beside it."""
    return "${" in segment and not (
        segment.startswith("${") and segment.find("}") == len(segment) - 1
    )


def _leases(path: str) -> str:
    """Return what the ids of leases begin with: they begin with the path that made them."""
    literal = path.partition(f"/{_ANY}")[0]
    return f"{literal}/*"


def _of_token(settings: VaultSecrets) -> Iterator[tuple[str, str]]:
    """Yield what a token does with itself; one that was given is not given back."""
    yield "auth/token/lookup-self", "read"
    yield "auth/token/renew-self", "update"
    if settings.auth.method not in ("token", "token_file"):
        yield "auth/token/revoke-self", "update"


def _head(settings: VaultSecrets, title: str, foreign: Iterable[str]) -> Iterator[str]:
    where = f" of the namespace '{settings.namespace}'" if settings.namespace else ""
    space = f" -namespace={settings.namespace}" if settings.namespace else ""
    yield f"The least that {title} needs{where} at {settings.address}."
    yield f"Write it: vault policy write{space} brain brain.hcl"
    for each in foreign:
        yield f"Not here: {each}, where a token of this namespace is good for nothing."


def _written(rules: dict[str, _Rule]) -> Iterator[str]:
    for path, rule in rules.items():
        yield ""
        yield from (f"# {_comment(note)}" for note in rule.notes)
        yield f'path "{path}" {{'
        capabilities = ", ".join(f'"{each}"' for each in sorted(rule.capabilities))
        yield f"  capabilities = [{capabilities}]"
        if rule.leases:
            leases = ", ".join(f'"{each}"' for each in rule.leases)
            yield f'  allowed_parameters = {{ "lease_id" = [{leases}] }}'
        yield "}"


def _comment(text: str) -> str:
    """Return a text that ends no comment: names of files may hold anything."""
    return "".join(each if each.isprintable() else "?" for each in text)

"""What is to be done where a path or a field is missing: commands that show no value to anybody."""

from __future__ import annotations

from proxy.secrets.vault.places import Place


def remedy(place: Place, field: str, address: str, *, there: bool) -> str:
    """Return it in one sentence; `there`: the path is there, and has no such field.

    `FIELD=-` reads the value from standard input: an argument is seen by each user of the machine.
    `kv put` replaces all fields of a path, and only KV version 2 has `kv patch`.
    """
    engine = place.mount.engine
    if engine not in {"kv1", "kv2"}:
        return f"see which fields {place.path} has, on {address}"
    if there and engine == "kv2":
        return f"add it: {_command('patch', place, field)}"
    if there:
        return f"write it with all fields that are there: {_command('put', place, field)}"
    said = f"write it: {_command('put', place, field)}"
    if engine == "kv1":
        return said
    return f"{said} (or, where '{place.mount.name}' is of KV version 1, say 'engine: kv1')"


def _command(verb: str, place: Place, field: str) -> str:
    space = f" -namespace={place.mount.namespace}" if place.mount.namespace else ""
    return f"vault kv {verb}{space} -mount={place.mount.name} {place.rest} {field}=-"

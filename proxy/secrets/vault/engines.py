"""The engines: how each is asked for a secret, and what its answer holds.

The manual's pages on the HTTP API of KV version 1 and 2, PKI and leases are followed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.config.models import VaultMount
from proxy.ports.secrets import Lease, Secret, SecretConflict, SecretMalformed, SecretMissing
from proxy.secrets.vault.answers import Answer, Call
from proxy.secrets.vault.fields import fields_of_engine, fields_of_kv, merged
from proxy.secrets.vault.places import Place

ISSUE = "issue/"
"""What a path below a PKI mount begins with."""


def reading(place: Place) -> Call:
    """Return the call that reads a place. Raises SecretMissing where its engine has none such."""
    if place.mount.engine == "pki" and not place.rest.startswith(ISSUE):
        message = f"{place.path} is nothing that a PKI issues"
        raise SecretMissing(message, hint=f"name a role: {place.mount.name}/{ISSUE}ROLE")
    return _call(place.path, _ENGINES[place.mount.engine].ask(place), place.mount)


def secret_of(place: Place, answer: Answer) -> Secret:
    """Return what was read. Raises SecretMalformed."""
    return _ENGINES[place.mount.engine].take(place, answer)


def writing(place: Place, answer: Answer, fields: Mapping[str, str], version: int) -> Call:
    """Return the call that writes what replaces `version`, of KV version 2 alone.

    `answer` is what was read of it: what is there beside the fields stays. Raises SecretConflict
    where it is of another version.
    """
    mount, rest = place.mount.name, place.rest
    if secret_of(place, answer).version != version:
        raise SecretConflict(f"{place.path} has been written since it was read")
    data = merged(answer.mapping("data").get("data", {}), fields)

    def ask(client: Any) -> Any:
        return client.secrets.kv.v2.create_or_update_secret(
            path=rest, secret=data, cas=version, mount_point=mount
        )

    return _call(place.path, ask, place.mount)


def version_of(answer: Answer, place: Place) -> int:
    """Return the version that was written."""
    return _version(answer.mapping("data"), place)


def renewing(lease: Lease, mount: VaultMount) -> Call:
    """Return the call for more time of a lease that a mount has made."""
    ask: Ask = lambda client: client.sys.renew_lease(lease_id=lease.id)  # noqa: E731  a table's row
    return _call("sys/leases/renew", ask, mount)


def revoking(lease: Lease, mount: VaultMount) -> Call:
    """Return the call that gives a lease back."""
    ask: Ask = lambda client: client.sys.revoke_lease(lease_id=lease.id)  # noqa: E731
    return _call("sys/leases/revoke", ask, mount)


def _call(path: str, ask: Ask, mount: VaultMount) -> Call:
    return Call(path, ask, mount.namespace, mount.name)


def lease_of(answer: Answer) -> Lease | None:
    """Return the lease of an answer, None where nothing ends."""
    lease, seconds = answer.body.get("lease_id"), answer.body.get("lease_duration")
    if not lease or not isinstance(lease, str) or not isinstance(seconds, int):
        return None
    return Lease(lease, float(seconds), answer.body.get("renewable") is True)


Ask = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Engine:
    ask: Callable[[Place], Ask]
    take: Callable[[Place, Answer], Secret]


def _ask_kv2(place: Place) -> Ask:
    return lambda client: client.secrets.kv.v2.read_secret_version(
        path=place.rest, mount_point=place.mount.name, raise_on_deleted_version=True
    )


def _take_kv2(place: Place, answer: Answer) -> Secret:
    found = answer.mapping("data")
    data, metadata = found.get("data"), found.get("metadata")
    if not isinstance(data, dict) or not isinstance(metadata, dict):
        hint = "say 'engine: kv1' or 'engine: dynamic' for this mount"
        raise SecretMalformed(f"{place.path} is not of KV version 2", hint=hint)
    return Secret(fields_of_kv(data, place.path), _version(metadata, place))


def _version(metadata: Mapping[str, Any], place: Place) -> int:
    version = metadata.get("version")
    if not isinstance(version, int):
        raise SecretMalformed(f"{place.path} has no version")
    return version


def _ask_kv1(place: Place) -> Ask:
    return lambda client: client.secrets.kv.v1.read_secret(
        path=place.rest, mount_point=place.mount.name
    )


def _take_kv1(place: Place, answer: Answer) -> Secret:
    return Secret(fields_of_kv(answer.mapping("data"), place.path))


def _ask_dynamic(place: Place) -> Ask:
    return lambda client: client.read(place.path)


def _take_dynamic(place: Place, answer: Answer) -> Secret:
    return Secret(fields_of_engine(answer.mapping("data"), place.path), lease=lease_of(answer))


def _ask_pki(place: Place) -> Ask:
    parameters = dict(place.mount.parameters)
    common_name = parameters.pop("common_name", "")
    return lambda client: client.secrets.pki.generate_certificate(
        name=place.rest.removeprefix(ISSUE),
        common_name=common_name,
        extra_params=parameters,
        mount_point=place.mount.name,
    )


def _take_pki(place: Place, answer: Answer) -> Secret:
    """A certificate is good until it ends, whether its role makes leases or not."""
    data = answer.mapping("data")
    lease, end = lease_of(answer), data.get("expiration")
    if lease is None and isinstance(end, int):
        lease = Lease("", max(0.0, end - time.time()), renewable=False)
    return Secret(fields_of_engine(data, place.path), lease=lease)


_ENGINES: Mapping[str, _Engine] = {
    "kv2": _Engine(_ask_kv2, _take_kv2),
    "kv1": _Engine(_ask_kv1, _take_kv1),
    "dynamic": _Engine(_ask_dynamic, _take_dynamic),
    "pki": _Engine(_ask_pki, _take_pki),
}

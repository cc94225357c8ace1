"""Secrets in a folder: a file for each path, or a folder with a file for each field."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.config.models import FileSecrets
from proxy.config.text_fields import fields_of_json, fields_of_yaml
from proxy.ports.secrets import (
    Keeping,
    Secret,
    SecretAway,
    SecretForbidden,
    SecretMalformed,
    SecretMissing,
    SecretStore,
    is_field,
    is_path,
)
from proxy.secrets.reading import Stat, located, looked_at, read_private

LOOK_AGAIN = 5.0
"""Seconds: a rotation is noticed soon, and a look costs one stat() a file."""

MOST_FILES = 64
"""Files of one folder: a secret has a handful of fields."""

SETTLED = 2.0
"""Seconds after which a file's times tell one content from the next, on any file system."""

_FORMS: Mapping[str, Callable[[str], dict[str, str]]] = {
    ".yaml": fields_of_yaml,
    ".json": fields_of_json,
}


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read, and of which files; `settled`: their times will tell a change for sure."""

    stats: tuple[Stat, ...]
    fields: Mapping[str, str]
    settled: bool


class FileStore(SecretStore):
    """`platform/redis` is `platform/redis.yaml`, `.json`, or else the files of `platform/redis/`.

    The last is how Docker and Kubernetes mount secrets. Files that others may read are refused, and
    so is whatever a symbolic link leads to outside of the folder.
    """

    keeping = Keeping(fresh=LOOK_AGAIN)

    def __init__(self, settings: FileSecrets) -> None:
        self._root = Path(settings.path)
        self._group_read = settings.group_read
        self._known: dict[str, _Known] = {}

    def __repr__(self) -> str:
        return f"<FileStore {self._root}>"

    async def get(self, path: str) -> Secret:
        """Return what is at `path`, read again where a file has changed. Raises SecretError."""
        if not is_path(path):
            raise SecretMissing(f"'{path}' is no path of a secret")
        return Secret(await asyncio.to_thread(self._get, path))

    def remedy(self, path: str, field: str) -> str:
        """Name the file or the field to be written."""
        at = self._root / path
        return f"write '{field}: …' into {at}.yaml, or the file {at}/{field}"

    def _get(self, path: str) -> Mapping[str, str]:
        for last in (False, True):
            try:
                return self._looked_up(path)
            except FileNotFoundError:
                if last:  # twice while it was looked at
                    raise SecretAway(f"{self._root / path} is being replaced") from None
            except PermissionError as error:
                raise SecretForbidden(f"{error.filename} may not be read") from None
            except OSError as error:
                message = f"{self._root / path} can't be read: {error.strerror}"
                raise SecretAway(message) from None
        raise AssertionError

    def _looked_up(self, path: str) -> Mapping[str, str]:
        found = [(name, located(self._root, name)) for name in self._files(path)]
        stats = tuple(looked_at(*each, group_read=self._group_read) for each in found)
        known = self._known.get(path)
        if known is None or not known.settled or known.stats != stats:
            settled = all(each.changed < time.time() - SETTLED for each in stats)
            known = self._known[path] = _Known(stats, self._read(path, found), settled)
        return known.fields

    def _files(self, path: str) -> list[Path]:
        """Return the one file of `path`, or all that are its folder's fields."""
        at = self._root / path
        found = [name for form in _FORMS if (name := at.with_name(at.name + form)).exists()]
        if len(found) > 1:
            raise SecretMalformed(f"{found[0]} and {found[1]} are the same secret: keep one")
        found = found or self._fields(at)
        if not found:
            raise SecretMissing(f"there is no secret '{path}' in {self._root}")
        return found

    def _fields(self, at: Path) -> list[Path]:
        if not at.is_dir():
            return []
        names = sorted(filter(is_field, os.listdir(located(self._root, at))))  # noqa: PTH208  names
        found = [at / name for name in names if not (at / name).is_dir()]
        if len(found) > MOST_FILES:
            raise SecretMalformed(f"{at} holds more than {MOST_FILES} files")
        return found

    def _read(self, path: str, found: list[tuple[Path, str]]) -> dict[str, str]:
        fields: dict[str, str] = {}
        for name, real in found:
            text = read_private(name, real, group_read=self._group_read)
            of_folder = name.parent == self._root / path
            fields |= {name.name: _line(name, text)} if of_folder else _parsed(name, text)
        return fields


def _parsed(name: Path, text: str) -> dict[str, str]:
    try:
        fields = _FORMS[name.suffix](text)
    except ValueError as error:
        raise SecretMalformed(f"{name}: {error}") from None
    if not fields:
        raise SecretMalformed(f"{name} has no fields")
    return fields


def _line(name: Path, text: str) -> str:
    """Return the value of a field's own file: editors and `echo` end it with a newline."""
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise SecretMalformed(f"{name} is empty")
    return value

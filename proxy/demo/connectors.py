"""The credentials for the stand-in services, where the gateway finds them.

They are in an OpenBao server where the extra `demo` is installed, else in a folder of files, as the
store `file` reads it. The paths are the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proxy.demo.bao import Bao, bao_binary
from proxy.demo.keys import CREDENTIALS

ADDRESS: Final = "VAULT_ADDR"
ROLE_ID: Final = "VAULT_ROLE_ID"
SECRET_ID_FILE: Final = "VAULT_SECRET_ID_FILE"  # noqa: S105  a variable's name
FOLDER: Final = "BRAIN_SECRETS"

_OVERLAY: Final = f"version: 1\nsecrets: {{vault: null, file: {{path: '${{{FOLDER}}}'}}}}\n"


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the credentials are: `store` is vault or file, `place` its address or folder.

    `environment` has the variables by which routes.yaml finds them: VAULT_ADDR, VAULT_ROLE_ID and
    VAULT_SECRET_ID_FILE; or BRAIN_SECRETS, for the file `overlay`, which is laid over routes.yaml and
    puts the store `file` in the place of `vault`.
    """

    store: str
    place: str
    environment: Mapping[str, str] = field(repr=False)
    overlay: Path | None = None


@contextmanager
def connectors(own: Path, binary: str | None = None) -> Iterator[Kept]:
    """Keep the credentials for as long as the block lasts, below `own`, which is ours alone.

    `binary` is the server's, by default the one that is installed. Where it does not start there are
    files. Blocks for a quarter of a second.
    """
    with ExitStack() as ends:
        yield _in_bao(own, binary or bao_binary(), ends) or _in_files(own)


def _in_bao(own: Path, binary: str | None, ends: ExitStack) -> Kept | None:
    if binary is None or not hasattr(os, "fork"):
        return None
    home = own / "bao"
    home.mkdir(mode=0o700)
    try:
        bao = ends.enter_context(Bao(binary, home))
        for path, fields in CREDENTIALS.items():
            bao.put(path, fields)
        role_id, secret_id = bao.gateway()
    except (OSError, RuntimeError):
        return None
    # A file, not a variable: an environment is shown to all that a process starts.
    file = _written(own / "vault-secret-id", secret_id)
    environment = {ADDRESS: bao.address, ROLE_ID: role_id, SECRET_ID_FILE: str(file)}
    return Kept("vault", bao.address, environment)


def _in_files(own: Path) -> Kept:
    folder = own / "secrets"
    for path, fields in CREDENTIALS.items():
        file = folder / f"{path}.json"
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _written(file, json.dumps(fields))
    overlay = _written(own / "files.yaml", _OVERLAY)
    return Kept("file", str(folder), {FOLDER: str(folder)}, overlay)


def _written(file: Path, text: str) -> Path:
    file.touch(mode=0o600)  # before anything stands in it
    file.write_text(text)
    return file

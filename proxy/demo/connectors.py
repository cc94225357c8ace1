"""The tenants' credentials for the stand-in services, where the gateway finds them.

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
from proxy.demo.issuer import TENANTS

ADDRESS: Final = "VAULT_ADDR"
ROLE_ID: Final = "VAULT_ROLE_ID"
SECRET_ID: Final = "VAULT_SECRET_ID"  # noqa: S105  a variable's name
FOLDER: Final = "BRAIN_SECRETS"

# Known to everyone on purpose, as the demo's key is: they open stand-ins on loopback.
CONNECTORS: Final[Mapping[str, Mapping[str, str]]] = {
    f"tenants/{tenant}/connectors/django-crm": {"api_key": f"crm-key-of-{tenant}"}
    for tenant in TENANTS
}


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the credentials are: `store` is vault or file.

    `environment` has the variables by which routes.yaml finds them: VAULT_ADDR, VAULT_ROLE_ID and
    VAULT_SECRET_ID, or the folder as BRAIN_SECRETS.
    """

    store: str
    environment: Mapping[str, str] = field(repr=False)


@contextmanager
def connectors(own: Path, binary: str | None = None) -> Iterator[Kept]:
    """Keep the credentials for as long as the block lasts, below `own`, which is ours alone.

    `binary` is the server's, by default the one that is installed. Where it does not start there are
    files. Blocks for a quarter of a second.
    """
    with ExitStack() as ends:
        yield _in_bao(own, binary or bao_binary(), ends) or _in_files(own / "secrets")


def _in_bao(own: Path, binary: str | None, ends: ExitStack) -> Kept | None:
    if binary is None or not hasattr(os, "fork"):
        return None
    home = own / "bao"
    home.mkdir(mode=0o700)
    try:
        bao = ends.enter_context(Bao(binary, home))
        for path, fields in CONNECTORS.items():
            bao.put(path, fields)
        role_id, secret_id = bao.gateway()
    except (OSError, RuntimeError):
        return None
    return Kept("vault", {ADDRESS: bao.address, ROLE_ID: role_id, SECRET_ID: secret_id})


def _in_files(folder: Path) -> Kept:
    for path, fields in CONNECTORS.items():
        file = folder / f"{path}.json"
        file.parent.mkdir(mode=0o700, parents=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps(fields))
    return Kept("file", {FOLDER: str(folder)})

"""Files that hold what the gateway logs in with: read at each use, trusted by their mode."""

from __future__ import annotations

import os
from pathlib import Path

from proxy.ports.secrets import SecretAway, SecretForbidden, SecretMalformed
from proxy.secrets.reading import read_private

_OPEN_TO_READ = frozenset({"kubernetes", "jwt"})
"""Methods whose file Kubernetes leaves readable to all in a pod: it is good for minutes."""


def credential_of(name: str, method: str) -> str:
    """Return what a file holds, without the white space around it. It blocks. Raises SecretError.

    Its group may read it, as an agent leaves it that runs beside the gateway. A file that is not
    there is being replaced, or not written yet.
    """
    try:
        text = read_private(
            Path(name),
            os.path.realpath(name),
            group_read=True,
            others_read=method in _OPEN_TO_READ,
        )
    except FileNotFoundError:
        raise SecretAway(f"{name} is not there") from None
    except PermissionError:
        raise SecretForbidden(f"{name} may not be read") from None
    except OSError as error:
        raise SecretAway(f"{name} can't be read: {error.strerror}") from None
    return _word(text.strip(), name)


def _word(text: str, name: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise SecretMalformed(f"{name} does not hold one word")
    return text

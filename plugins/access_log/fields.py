"""Headers and query values that the file asks to log: listed ones only, and never credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from multidict import MultiMapping

from plugins.access_log.phases import LONGEST
from proxy import Answer, Problems, printable

_SECRET = re.compile(
    r"auth|cookie|token|secret|passw|credential|signature|session|ticket|jwt|api-?_?key|^key$|^code$",
    re.IGNORECASE,
)
"""Names that carry what must not be in a log. "code" is OAuth's, which buys a token."""


def refuse_secrets(problems: Problems, option: str, names: Sequence[str]) -> None:
    """Report names under `option` whose values may be credentials."""
    for index, name in enumerate(names):
        if _SECRET.search(name):
            problems.add(
                f"{option}.{index}",
                f"'{name}' may hold a credential, which is never logged",
                hint="log the principal instead: it is in every line",
            )


def picked(values: MultiMapping[str], names: Sequence[str]) -> Mapping[str, str] | None:
    """Return the listed values that are there, repeated ones joined; None when there are none."""
    found = {
        name: printable(", ".join(values.getall(name)), LONGEST) for name in names if name in values
    }
    return found or None


def picked_of_answer(answer: Answer | None, names: Sequence[str]) -> Mapping[str, str] | None:
    """Return the listed headers of an answer, the first of each; its raw way is kept."""
    if answer is None or not names:
        return None
    found = {
        name: printable(value, LONGEST)
        for name in names
        if (value := answer.header(name)) is not None
    }
    return found or None

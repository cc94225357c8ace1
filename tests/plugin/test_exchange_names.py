"""Requests that hang from the start cost those after them nothing: a fresh interpreter each."""

import subprocess
import sys

import pytest

# What is set behind the target's head, by thirty instances too late for the class to learn it.
_CHECK = """
import gc
from proxy.plugin import exchange as module

def made():
    if {kind!r} == "Attempt":
        return module.Attempt("http://a")
    return module.Exchange(None, None, None, "GET", "/", 0.0)

hanging = [made() for _ in range(40)]
for one in [*hanging, made()]:
    for name in {names!r}:
        setattr(one, name, 1)
    assert not [each for each in gc.get_referents(one) if isinstance(each, dict)]
"""


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("Attempt", ("pool", "reused", "sent", "head", "status", "end", "code", "again")),
        ("Exchange", ("answer", "error", "status", "sent", "head_sent", "ended")),
    ],
)
def test_what_is_set_at_the_end_needs_no_dict_of_its_own(kind: str, names: tuple[str, ...]) -> None:
    script = _CHECK.format(kind=kind, names=names)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr

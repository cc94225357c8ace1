"""The second line against a secret in the log: what stores gave is known, and taken out of lines.

The first line is that nothing logs one. This is for what nobody has thought of: a plugin that logs the
headers that it finds on a request, a library's words in a traceback.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

HIDDEN = "********"

LEAST = 8
"""Characters of a word that is looked for: shorter ones stand in many a line."""

_WORD = re.compile(rf"""[^\s"'<>{{}}\[\](),;&=?/:@|\\]{{{LEAST},}}""")
_DIGIT = re.compile(r"[0-9]")
_LONG = 24
"""Characters from which on a word without a digit is taken for no name, such as a host's or a user's."""


class Redaction:
    """The words of all secrets that are in use, each counted by how often it is.

    A word has no separator: of a URL with a password that is the password. Words that could be a name
    are left out, so that lines stay readable.
    """

    def __init__(self) -> None:
        self._words: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Redaction words={len(self._words)}>"

    def add(self, values: Iterable[str]) -> None:
        """Hide these from now on."""
        self._words.update(_words(values))

    def remove(self, values: Iterable[str]) -> None:
        """Hide them no longer, unless they were added more often."""
        for word in _words(values):
            self._words[word] -= 1
            if self._words[word] <= 0:
                del self._words[word]

    def hidden(self, line: str) -> str:
        """Return a line without what is to be hidden."""
        return _WORD.sub(self._shown, line) if self._words else line

    def _shown(self, word: re.Match[str]) -> str:
        return HIDDEN if word[0] in self._words else word[0]


def _words(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        for word in _WORD.findall(value):
            if _DIGIT.search(word) or len(word) >= _LONG:
                yield word


SECRETS = Redaction()
"""What this process knows: secrets come from stores, and lines from anywhere."""

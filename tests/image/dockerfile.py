"""A reader of Dockerfiles for the instructions that ours uses; all else is an error.

It follows https://docs.docker.com/reference/dockerfile/. What it leaves out it refuses: heredocs,
parser directives other than `syntax`, and instructions in lower case.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

WORDS = frozenset(
    {
        *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
        *("RUN", "STOPSIGNAL", "USER", "WORKDIR"),
    }
)
SHELL = ("/bin/sh", "-c")

_FLAG = re.compile(r"--([a-z-]+)(?:=(\S+))?\s+")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_STAGE = re.compile(r"(\S+)(?:\s+AS\s+(\S+))?")


@dataclass(frozen=True)
class Instruction:
    """`text` is what stands behind the word and its flags, lines joined."""

    word: str
    flags: Mapping[str, str]
    text: str
    line: int

    @property
    def command(self) -> tuple[str, ...]:
        """What is executed: the exec form as it stands, the shell form by a shell."""
        text = self.text.removeprefix("CMD ") if self.word == "HEALTHCHECK" else self.text
        if text.startswith("["):
            found = json.loads(text)
            assert all(isinstance(part, str) for part in found), self
            return tuple(found)
        return (*SHELL, text)

    @property
    def pairs(self) -> dict[str, str]:
        """The names and values of an ENV or a LABEL."""
        return dict(part.split("=", 1) for part in shlex.split(self.text))


@dataclass(frozen=True)
class Stage:
    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def all(self, word: str) -> list[Instruction]:
        return [each for each in self.instructions if each.word == word]

    def one(self, word: str) -> Instruction:
        (found,) = self.all(word)
        return found


def stages(text: str) -> list[Stage]:
    """Return the stages in order, build arguments before the first FROM put in their places."""
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for instruction in _instructions(text):
        if instruction.word == "FROM":
            match = _STAGE.fullmatch(expanded(instruction.text, arguments))
            assert match, instruction
            found.append(Stage(match[1], match[2] or str(len(found)), ()))
        elif found:
            last = found[-1]
            found[-1] = Stage(last.base, last.name, (*last.instructions, instruction))
        else:
            assert instruction.word == "ARG", f"line {instruction.line}: before the first FROM"
            arguments.update(instruction.pairs)
    return found


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Put variables in; one that is not known is an error, where Docker would put nothing."""
    return _VARIABLE.sub(lambda match: values[match[1] or match[2]], text)


def _instructions(text: str) -> Iterator[Instruction]:
    for line, logical in _logical_lines(text):
        word, _, rest = logical.partition(" ")
        assert word in WORDS, f"line {line}: {word} is not read here"
        assert "<<" not in rest, f"line {line}: heredocs are not read here"
        rest, flags = rest.strip(), {}
        while found := _FLAG.match(rest):
            flags[found[1]] = found[2] or ""
            rest = rest[found.end() :]
        yield Instruction(word, flags, rest, line)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines with what continues them; a comment between those is left out, as by Docker."""
    begun, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("#") or not stripped:
            assert stripped or not parts, f"line {number}: an empty line continues an instruction"
            continue
        begun = begun or number
        parts.append(stripped.removesuffix("\\").strip())
        if not stripped.endswith("\\"):
            yield begun, " ".join(parts)
            begun, parts = 0, []
    assert not parts, "the last line is continued by none"

"""Plain scalars by the YAML 1.2 core schema (yaml.org/spec/1.2.2, 10.3.2).

PyYAML's own resolver is YAML 1.1, where `on`, `no` and `1:30` are not text and `010` is eight.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_WORDS: Mapping[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+(?:\.[0-9]*)?")
_FIRST = frozenset("-+.0123456789")

MAX_DIGITS = 18
"""Longer numbers are no counts of anything here, and Python refuses to read very long ones."""


def typed(text: str) -> Any:
    """Return the value of a plain scalar. Raises ValueError for a number that is refused."""
    if text in _WORDS:
        return _WORDS[text]
    return _number(text) if text[0] in _FIRST else text


def _number(text: str) -> Any:
    if _LEADING_ZERO.fullmatch(text):
        raise ValueError("a number can't begin with 0: quote it if it is text")
    if _INTEGER.fullmatch(text):
        return int(_bounded(text))
    if _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
        return int(_bounded(text), 0)
    if _SPECIAL.fullmatch(text):
        raise ValueError("a number must be finite: quote it if it is text")
    return _finite(text) if _FLOAT.fullmatch(text) else text


def _bounded(text: str) -> str:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has at most {MAX_DIGITS} digits: quote it if it is text")
    return text


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number must be finite: quote it if it is text")
    return value

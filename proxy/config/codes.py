"""The stable codes of diagnostics. 0xx: reading; 1xx: structure; 2xx: meaning; 3xx: wisdom."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """One code for one kind of mistake: scripts and documents refer to it, so none is reused."""

    UNREADABLE = "BG001"
    NOT_TEXT = "BG002"
    SYNTAX = "BG003"
    TOO_MUCH = "BG004"
    DUPLICATE_KEY = "BG005"
    NOT_ALLOWED = "BG006"
    EMPTY = "BG007"
    NUMBER = "BG008"
    UNSET = "BG010"
    REFERENCE = "BG011"
    UNQUOTED = "BG012"
    INCLUDE = "BG013"

    WRONG_TYPE = "BG101"
    WRONG_VALUE = "BG102"
    UNKNOWN_KEY = "BG103"
    MISSING_KEY = "BG104"
    LATER = "BG105"
    TEMPLATE = "BG106"

    UNKNOWN_PLUGIN = "BG201"
    PLUGIN_REFUSES = "BG202"
    DUPLICATE = "BG203"
    SKIP = "BG204"
    UPSTREAM = "BG205"
    UNKNOWN_SERVICE = "BG206"
    PATH = "BG207"
    SHADOWED = "BG208"
    FILES = "BG209"
    OPEN = "BG210"
    ACCESS = "BG211"
    CLAIMS_NEEDED = "BG212"
    UNREACHABLE = "BG220"

    TRUST = "BG301"
    UNVERIFIED = "BG302"
    TOKEN_LEAVES = "BG303"  # noqa: S105  a code, not a token
    EXPOSED = "BG304"
    COOKIES_LEAVE = "BG305"
    PLUGIN_WARNS = "BG306"
    NEVER_ASKED = "BG307"
    NO_PATTERN = "BG308"

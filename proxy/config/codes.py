"""The stable codes of diagnostics. 0xx: reading; 1xx: structure; 2xx: meaning; 3xx: wisdom."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """One code for one kind of mistake: scripts and documents refer to it, so none is reused.

    `meaning` says what is wrong, `remedy` what to do, each in one sentence, for whoever looks a
    code up; a diagnostic itself says it of its own line. Codes of 3xx are warnings, all others
    refuse the file.
    """

    meaning: str
    remedy: str

    def __new__(cls, code: str, meaning: str, remedy: str) -> Self:
        self = str.__new__(cls, code)
        self._value_ = code
        self.meaning = meaning
        self.remedy = remedy
        return self

    @property
    def severity(self) -> str:
        """`error` or `warning`."""
        return "warning" if self.value.startswith("BG3") else "error"

    UNREADABLE = (
        "BG001",
        "The file is not there, is no regular file, or may not be read.",
        "Check its path, and who may read it.",
    )
    NOT_TEXT = (
        "BG002",
        "The file is not UTF-8, or holds control characters.",
        "Save it as UTF-8, and remove the character at that place.",
    )
    SYNTAX = (
        "BG003",
        "This is not YAML: an open quote or bracket, an indent that does not fit, or the like.",
        "Correct the place that the caret shows, or the line above it.",
    )
    TOO_MUCH = (
        "BG004",
        "The files are too large, nested too deep, or stand for too much by their aliases.",
        "Write less: a file that a program makes may have gone wrong.",
    )
    DUPLICATE_KEY = (
        "BG005",
        "A mapping has the same key twice.",
        "Remove one of the two, or merge what is below them.",
    )
    NOT_ALLOWED = (
        "BG006",
        "YAML that this language leaves out: tags, merge keys, keys that are no text.",
        "Write the keys and values out.",
    )
    EMPTY = (
        "BG007",
        "The file has nothing in it.",
        "Begin with 'version: 1' and a service.",
    )
    NUMBER = (
        "BG008",
        "A number begins with 0, or is not finite.",
        "Quote it if it is a text, else write it in decimal.",
    )
    UNSET = (
        "BG010",
        "An environment variable that the file names is not set.",
        "Set it, or write '${NAME:-default}'.",
    )
    REFERENCE = (
        "BG011",
        "A '${' begins what is no reference.",
        "Write '${NAME}', '${NAME:-default}' or '${lower.path}'; a literal '${' is '$${'.",
    )
    UNQUOTED = (
        "BG012",
        "A '${…}' stands inside '{}' or '[]' without quotes, which YAML takes for a mapping.",
        "Put it in double quotes.",
    )
    INCLUDE = (
        "BG013",
        "'include' names no files, its own file, or files with keys that can't be included.",
        "Name files that hold version, services and routes only.",
    )

    WRONG_TYPE = (
        "BG101",
        "A value is of another kind than its key asks for, such as a text where a list belongs.",
        "Write the value in the kind that the message names.",
    )
    WRONG_VALUE = (
        "BG102",
        "A value is of the right kind and not one that its key takes.",
        "Write what the message says is expected, with its unit.",
    )
    UNKNOWN_KEY = (
        "BG103",
        "The language, or a plugin's options, have no such key at this place.",
        "Correct its spelling, or move it to where it belongs.",
    )
    MISSING_KEY = (
        "BG104",
        "A key that must be here is missing.",
        "Add it.",
    )
    LATER = (
        "BG105",
        "The language knows this, and this version does not do it yet.",
        "Leave it out: what nothing acts on is refused rather than ignored.",
    )
    TEMPLATE = (
        "BG106",
        "A template is malformed, or stands where no value of a request can.",
        "Use the names that the option's description lists.",
    )

    UNKNOWN_PLUGIN = (
        "BG201",
        "No installed plugin has this name.",
        "Correct its spelling, install it, or name a class by 'use: module:attr'.",
    )
    PLUGIN_REFUSES = (
        "BG202",
        "A plugin can't be imported, or refuses its options or its setup.",
        "Read what it says: the words are the plugin's own.",
    )
    DUPLICATE = (
        "BG203",
        "Two services, prefixes, routes, targets or plugins have what only one can have.",
        "Rename or remove one; two entries of one plugin are told apart by 'as'.",
    )
    SKIP = (
        "BG204",
        "'skip' names a plugin that no outer level has, or an authenticator.",
        "Correct the name; to let anyone in, say 'public: true'.",
    )
    UPSTREAM = (
        "BG205",
        "An upstream has no target, too many places for its target or path, or names itself.",
        "Give it one 'url', or 'targets' with 'path' beside them.",
    )
    UNKNOWN_SERVICE = (
        "BG206",
        "An upstream refers to a service that the files do not have.",
        "Correct the name behind 'service/'.",
    )
    PATH = (
        "BG207",
        "A path belongs to another service or to the gateway itself, or lacks a name.",
        "Choose another path, or write the '{name}' that is needed into 'match.path'.",
    )
    SHADOWED = (
        "BG208",
        "A route can never match: another one takes all its requests.",
        "Narrow the other one's match, or remove this route.",
    )
    FILES = (
        "BG209",
        "A file or folder that a key names can't be read, such as a certificate.",
        "Check its path, which is relative to the file that names it, and who may read it.",
    )
    OPEN = (
        "BG210",
        "A route lets anyone in, and nothing says that it should.",
        "Add an authenticator, or say 'public: true'.",
    )
    ACCESS = (
        "BG211",
        "'public' and the authenticators contradict each other.",
        "Keep one of the two.",
    )
    CLAIMS_NEEDED = (
        "BG212",
        "A public route has a plugin or a rewrite that needs to know who calls.",
        "Skip the plugin on this route, or say 'public: false'.",
    )
    TRAFFIC = (
        "BG213",
        "What an upstream says of its targets, of their health or of trying again contradicts itself.",
        "Change one of the two values that the message names.",
    )
    SHAPING = (
        "BG214",
        "A 'split' or 'mirror' gives away too much, nothing at all, or leads to the upstream itself.",
        "Write shares that leave something to 'upstream', or whom the entry is for.",
    )
    ONE_PROCESS = (
        "BG215",
        "Several workers would serve, and a plugin keeps what only one process may keep.",
        "Name a store in the plugin's options, which all share, or say 'workers: 1'.",
    )
    STORE = (
        "BG216",
        "An option refers to a store of secrets that the files do not have, or not to one alone.",
        "Add the store to the section 'secrets', or correct its name.",
    )
    UNREACHABLE = (
        "BG220",
        "A target can't be reached from this machine; only 'brain check --connect' says so.",
        "See whether the service runs, and whether name, port and certificate are right.",
    )
    SECRET = (
        "BG221",
        "A secret can't be read from here; only 'check --connect' and 'secrets check' say so.",
        "Write it, let this identity read it ('brain secrets policy'), or correct its path.",
    )

    TRUST = (
        "BG301",
        "'trusted_proxies' holds a network so wide that callers may be in it.",
        "Name the edge's own addresses: whoever is inside can claim any client address.",
    )
    UNVERIFIED = (
        "BG302",
        "An upstream's certificate is not checked.",
        "Name its authority in 'tls.ca', and leave 'verify' out.",
    )
    TOKEN_LEAVES = (
        "BG303",
        "Callers' credentials are sent to a host that is not near by its name.",
        "Leave 'forward_token' out where the upstream need not know who calls.",
    )
    EXPOSED = (
        "BG304",
        "Pages of the operators can be read from further away than this machine.",
        "Use a loopback address for 'admin', and 'private' or networks in 'expose'.",
    )
    COOKIES_LEAVE = (
        "BG305",
        "All cookies are sent to a host that is not near by its name.",
        "List the cookies that it needs in 'forward_cookies'.",
    )
    PLUGIN_WARNS = (
        "BG306",
        "A plugin calls its options legal and unwise.",
        "Read what it says: the words are the plugin's own.",
    )
    NEVER_ASKED = (
        "BG307",
        "A public service names an authenticator, and none of its routes asks it.",
        "Remove one of the two, or say 'public: false' on a route.",
    )
    NO_PATTERN = (
        "BG308",
        "A path looks like a regular expression, and is matched as it is written.",
        "Write '*' at the end or '{name}' for a segment; percent-encode a sign that is meant.",
    )
    PER_WORKER = (
        "BG310",
        "Several workers serve, and each has of its own what the file bounds or keeps once.",
        "Divide a bound by the number of workers, or keep what all must know outside of them.",
    )
    STORE_IN_CLEAR = (
        "BG311",
        "Secrets are fetched over http from a host that is not near by its name.",
        "Use https, or run an agent of the store on this machine.",
    )

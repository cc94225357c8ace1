"""The reference of the plugin contract, made of its docstrings: docs/plugin-reference.md."""

from __future__ import annotations

from collections.abc import Iterator

import proxy
from proxy.scaffold import TEMPLATES
from proxy.scaffold.docstrings import find, homes, module_text, path_of, section

_HEAD = """# The plugin contract

Made of the docstrings by `brain plugin reference`; a test compares. All names come from `proxy`:
`from proxy import Plugin`. [plugin-authors.md](plugin-authors.md) shows them at work. Behind them stand
the [formats of options](#formats-of-options) and the test kit, [`proxy.testing`](#proxytesting).
"""

_OWN = {
    "Answer": {"from_upstream", "of", "payload", "untouched", "wire_fields", "close", "framed"},
    "CleanHeaders": {"from_wire", "to_wire"},
    "Exchange": {"callbacks", "markers"},
    "Origin": {"__init__", "host", "networks", "path", "port"},
    "Outgoing": {"aim", "carry", "hold", "let_go", "payload", "wire_fields"},
    "Unavailable": {"refusal"},
}
"""What the gateway itself calls: public in Python, and no part of the contract."""

_REACHED = {
    "CleanHeaders": "proxy.plugin.fields",
    "EntryInfo": "proxy.plugin.context",
    "HttpClient": "proxy.plugin.http",
    "Metrics": "proxy.plugin.context",
    "OwnHandler": "proxy.plugin.context",
    "Rate": "proxy.units",
    "RouteInfo": "proxy.plugin.exchange",
    "Secrets": "proxy.ports.secrets",
    "ServiceCaller": "proxy.plugin.context",
    "Tap": "proxy.plugin.streams",
    "UpstreamStatus": "proxy.plugin.context",
}
"""What attributes of public names are, without a name of their own in `proxy`."""

_FIXTURES = ("backend", "brain")
_OF_TESTS = {
    "Answers": "proxy.testing.calls",
    "Body": "proxy.testing.messages",
    "Headers": "proxy.testing.messages",
    "Store": "proxy.testing.store",
    "TestRoute": "proxy.testing.messages",
}
"""What the test kit raises and takes, without a name of its own there."""


def reference() -> str:
    """Return the page as Markdown: each public name by the alphabet, its members as written."""
    return "\n".join((*_contract(), *_formats(), *_testing()))


def _contract() -> Iterator[str]:
    yield _HEAD
    version = find(path_of("proxy"), "CONTRACT")[1]
    yield f"## CONTRACT\n\n`proxy.CONTRACT = {proxy.CONTRACT}`. {version}\n"
    home = homes("proxy")
    yield from (_of(name, home[name]) for name in proxy.__all__ if name != "CONTRACT")
    yield "# Reached through them\n"
    yield from (_of(name, home) for name, home in _REACHED.items())


def _formats() -> Iterator[str]:
    yield "# Formats of options\n"
    yield module_text("proxy.plugin.options")
    yield "\n" + (TEMPLATES / "formats.md.txt").read_text()


def _testing() -> Iterator[str]:
    yield "# proxy.testing\n"
    yield f"`from proxy.testing import call`. {module_text('proxy.testing')}\n"
    home = homes("proxy.testing")
    yield from (_of(name, home[name]) for name in sorted(home, key=str.lower))
    yield from (_of(name, home) for name, home in _OF_TESTS.items())
    yield "# Fixtures of pytest\n"
    yield from (_of(name, "proxy.testing.fixtures") for name in _FIXTURES)


def _of(name: str, home: str) -> str:
    return section(name, home, _OWN.get(name, ()))

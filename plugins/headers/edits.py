"""The three deeds on the headers of a message, in their order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from proxy import Answer, Outgoing, Problems, Template

Render = Callable[[Template], str | None]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")

_GATEWAYS_OWN = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-brain-hops",
    }
)
"""Fields of one connection (RFC 9110, 7.6.1), of framing, and Host, which is the route's `host`.

`Outgoing` refuses them too; here they are refused before a request comes.
"""


class Edits:
    """What is removed, set and added. Values are rendered before anything is changed."""

    def __init__(
        self,
        *,
        set: Mapping[str, Template],  # noqa: A002  the option's name
        add: Mapping[str, Template],
        remove: Sequence[str],
    ) -> None:
        self._set = tuple(set.items())
        self._add = tuple(add.items())
        self._remove = tuple(remove)

    def __bool__(self) -> bool:
        return bool(self._set or self._add or self._remove)

    def apply(self, message: Outgoing | Answer, render: Render) -> None:
        """Edit `message`; what `render` has no value for is left as it is.

        Only a removal of what is there takes the message from its raw way.
        """
        new = [(name, render(template)) for name, template in self._set]
        more = [(name, render(template)) for name, template in self._add]
        for name in self._remove:
            _remove(message, name)
        for name, value in new:
            if value is not None:
                _remove(message, name)
                message.add_header(name, value)
        for name, value in more:
            if value is not None:
                message.add_header(name, value)

    def check(self, problems: Problems, option: str) -> None:
        for place, name, template in self._entries():
            if not _NAME.fullmatch(name):
                problems.add(f"{option}.{place}", f"'{name}' is not a header's name")
            elif name.lower() in _GATEWAYS_OWN:
                problems.add(
                    f"{option}.{place}",
                    f"'{name}' belongs to the gateway",
                    hint="the route's host sets Host" if name.lower() == "host" else None,
                )
            if template is not None:
                _check_value(problems, f"{option}.{place}", template)

    def explain(self, whose: str) -> Iterator[str]:
        for name in self._remove:
            yield f"removes {name} from the {whose}"
        for deed, entries in (("sets", self._set), ("adds", self._add)):
            for name, template in entries:
                yield f"{deed} {name}: {template.text} on the {whose}"

    def _entries(self) -> Iterator[tuple[str, str, Template | None]]:
        yield from ((f"set.{name}", name, template) for name, template in self._set)
        yield from ((f"add.{name}", name, template) for name, template in self._add)
        yield from ((f"remove.{index}", name, None) for index, name in enumerate(self._remove))


def _remove(message: Outgoing | Answer, name: str) -> None:
    if message.header(name) is not None:
        message.headers.popall(name)


def _check_value(problems: Problems, option: str, template: Template) -> None:
    if _CONTROL.search(template.text):
        problems.add(option, "a header's value can't hold control characters")

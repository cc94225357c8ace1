"""Private names of aiohttp that the gateway stands on, each with the shape that it counts on.

They are used in `proxy/server/` alone, and by `Answer`, which is a StreamResponse whose fields are
made only when somebody looks. A new aiohttp that changes one of them fails here, by its name.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import textwrap
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import BaseConnector, web, web_protocol
from aiohttp.base_protocol import BaseProtocol
from aiohttp.helpers import HeadersMixin
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from proxy.config.models import ServerLimits, ServerTimeouts
from proxy.plugin.answer import Answer
from proxy.server.protocol import ClientConnection
from proxy.server.request import Request
from proxy.server.server import GatewayServer

PROXY = Path(__file__).parent.parent.parent / "proxy"

HANDLER = {
    "_buffer_paused",
    "_close",
    "_drain_helper",
    "_force_close",
    "_loop",
    "_manager",
    "_max_msg_queue_size",
    "_message_tail",
    "_messages",
    "_msg_queue_resume_size",
    "_parser",
    "_pause_reading_for_buffer",
    "_paused",
    "_payload_parser",
    "_resume_reading_if_drained",
    "_task_handler",
    "_upgraded",
    "_waiter",
}
"""Of RequestHandler."""

SERVER = {"_connections", "_loop"}
"""Of web.Server."""

REQUEST = {
    "_cache",
    "_headers",
    "_message",
    "_method",
    "_payload",
    "_protocol",
    "_rel_url",
    "_state",
    "_transport_peername",
    "_transport_sockname",
    "_transport_sslcontext",
    "_version",
}
"""Of BaseRequest: what its constructor would set."""

RESPONSE = {"_cookies", "_headers", "_reason", "_state", "_status"}
"""Of StreamResponse; the only ones outside of server/."""

USED: dict[str, tuple[type, set[str]]] = {
    "server": (RequestHandler, HANDLER),
    "server/server.py": (web.Server, SERVER),
    "server/request.py": (web.BaseRequest, REQUEST),
    "plugin/answer.py": (web.StreamResponse, RESPONSE),
}
"""Where a class of aiohttp is derived from, and what of its own is used there."""


def theirs(kind: type) -> set[str]:
    """Return the private names that a class of aiohttp and its bases there define or assign."""
    found: set[str] = set()
    for base in kind.__mro__[:-1]:
        if base.__module__.startswith("aiohttp"):
            found |= set(vars(base)) | set(getattr(base, "__annotations__", ()))
            found |= set(getattr(base, "__slots__", ()))
            found |= set(own_names(ast.parse(textwrap.dedent(inspect.getsource(base)))))
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def own_names(tree: ast.AST) -> Iterator[str]:
    """Yield the `_x` of every `self._x`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
            yield node.attr


def classes(kinds: set[str]) -> Iterator[tuple[Path, ast.ClassDef]]:
    """Yield the classes of `proxy` that derive from one of `kinds`, and from these in turn."""
    for path in sorted(PROXY.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases}
            if named and not named.isdisjoint(kinds):
                yield path.relative_to(PROXY), node


HANDLERS = {"RequestHandler", "WritingSide", "ReadingSide"}
"""aiohttp's class and ours that stand between it and the connection."""


@pytest.mark.parametrize("where", USED)
def test_exactly_the_pinned_names_are_used(where: str) -> None:
    kind, pinned = USED[where]
    names = HANDLERS if kind is RequestHandler else {f"web.{kind.__name__}"}
    used: set[str] = set()
    for path, found in classes(names):
        assert str(path).startswith(where)
        used |= set(own_names(found))
        used |= {node.name for node in found.body if isinstance(node, ast.FunctionDef)}
    assert used & theirs(kind) == pinned


def test_only_the_server_and_answer_derive_from_aiohttps_classes() -> None:
    bases = {"RequestHandler", "web.Server", "web.BaseRequest", "web.Request", "web.StreamResponse"}
    found = {str(path) for path, _ in classes(bases)}
    assert {path for path in found if not path.startswith("server/")} == {"plugin/answer.py"}


async def connection(**changed: Any) -> ClientConnection:
    server = GatewayServer(
        None,  # type: ignore[arg-type]
        ServerLimits(),
        ServerTimeouts(),
        lambda _: False,
    )
    return server() if not changed else ClientConnection(server, loop=server._loop, **changed)


async def test_a_handler_holds_what_is_pinned() -> None:
    made = await connection()
    for name in HANDLER - {"_manager"}:
        assert hasattr(made, name), name
    assert made._manager is not None
    assert isinstance(made._messages, deque)
    assert isinstance(made._parser, HttpRequestParser)
    assert (made._waiter, made._payload_parser, made._paused) == (None, None, False)
    assert (made._close, made._upgraded, made._buffer_paused) == (False, False, False)
    assert made._task_handler is None
    assert isinstance(made._msg_queue_resume_size, int)
    assert inspect.iscoroutinefunction(made._drain_helper)
    assert callable(made._parser.message_consumed)
    made.connection_lost(None)


def test_methods_take_what_they_are_given() -> None:
    def parameters(function: Any) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert parameters(RequestHandler.data_received) == ["self", "data"]
    assert parameters(RequestHandler.connection_made) == ["self", "transport"]
    assert parameters(RequestHandler.connection_lost) == ["self", "exc"]
    assert parameters(RequestHandler._resume_reading_if_drained) == ["self"]
    assert parameters(RequestHandler.set_parser)[:2] == ["self", "parser"]
    assert parameters(RequestHandler.force_close) == ["self"]
    assert parameters(BaseProtocol._drain_helper) == ["self"]
    assert inspect.iscoroutinefunction(RequestHandler.start)
    assert parameters(web.BaseRequest.__init__)[:7] == [
        "self",
        "message",
        "payload",
        "protocol",
        "payload_writer",
        "task",
        "loop",
    ]


def test_an_error_of_the_parser_comes_as_status_error_and_message() -> None:
    found = _ErrInfo(400, ValueError("x"), "text")
    assert (found.status, str(found.exc), found.message) == (400, "x", "text")
    assert web_protocol._ErrInfo is _ErrInfo


def test_a_parsed_head_has_its_fields_in_this_order() -> None:
    names = "method path version headers raw_headers should_close compression upgrade chunked url"
    assert [name for name in names.split() if hasattr(RawRequestMessage, name)] == names.split()


async def test_a_keyword_that_aiohttp_does_not_know_raises() -> None:
    """aiohttp's own factory would fall back to its defaults, all of them, without a word."""
    with pytest.raises(TypeError, match="no_such_keyword"):
        await connection(no_such_keyword=1)


async def test_the_handler_has_the_limits_that_were_asked_for() -> None:
    made = await connection()
    assert made.max_line_size == ServerLimits().request_line
    assert made.max_headers == ServerLimits().header_count
    assert made.access_log is None
    assert made._loop is asyncio.get_running_loop()
    made.connection_lost(None)


def test_a_request_has_all_that_aiohttps_own_constructor_sets() -> None:
    """The gateway's own sets it: what a new aiohttp adds there would be missing on every request."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(web.BaseRequest.__init__)))
    stored = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    # Some are made of an absolute target alone, which the gateway reduces itself.
    by_target = {"_host", "_scheme", "scheme", "host"}
    defaults = {name for name in stored if hasattr(Request, name)}
    assert stored - by_target - defaults <= REQUEST
    assert stored <= {*REQUEST, *defaults, *by_target}


def test_a_response_reads_its_fields_where_answer_keeps_them() -> None:
    response = web.StreamResponse(status=201, reason="Made", headers={"A": "b"})
    assert (response._status, response._reason) == (201, "Made")
    assert response._headers["A"] == "b"
    assert response._state == {}
    assert web.StreamResponse._cookies is None
    assert response._keep_alive is None
    response.force_close()
    assert response._keep_alive is False
    assert Answer()._cookies is None
    # content_type and its like are HeadersMixin's, which reads `_headers`.
    assert issubclass(web.StreamResponse, HeadersMixin)
    answer = Answer(headers={"Content-Type": "text/html; charset=utf-8"})
    assert (answer.content_type, answer.charset) == ("text/html", "utf-8")


def test_the_resolver_does_not_flip() -> None:
    """aiodns being installed changes how aiohttp resolves; the gateway's dependencies bring none."""
    assert BaseConnector is not None
    with pytest.raises(ImportError):
        __import__("aiodns")

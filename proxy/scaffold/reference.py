"""The reference of the plugin contract, made of its docstrings: docs/plugin-reference.md."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import proxy

_HEAD = """# The plugin contract

Made of the docstrings by `brain plugin reference`; a test compares. All names come from `proxy`:
`from proxy import Plugin`. [plugin-authors.md](plugin-authors.md) shows them at work.
"""

_OWN = {
    "Answer": {"from_upstream", "of", "payload", "untouched", "wire_fields", "close", "framed"},
    "Outgoing": {"aim", "carry", "hold", "let_go", "payload", "wire_fields"},
    "Unavailable": {"refusal"},
}
"""What the gateway itself calls: public in Python, and no part of the contract."""

_REACHED = {
    "EntryInfo": "proxy.plugin.context",
    "HttpClient": "proxy.plugin.http",
    "Metrics": "proxy.plugin.context",
    "RouteInfo": "proxy.plugin.exchange",
    "ServiceCaller": "proxy.plugin.context",
    "UpstreamStatus": "proxy.plugin.context",
}
"""What attributes of public names are, without a name of their own in `proxy`."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Statement = tuple[ast.stmt, str]
"""A statement, and the text that stands below it where it is an attribute."""


def reference() -> str:
    """Return the page as Markdown: each public name by the alphabet, its members as written."""
    parts = [_HEAD, f"## CONTRACT\n\n`proxy.CONTRACT = {proxy.CONTRACT}`. {_contract()}\n"]
    homes = _homes()
    parts += [_section(name, homes[name]) for name in proxy.__all__ if name != "CONTRACT"]
    parts.append("# Reached through them\n")
    parts += [_section(name, home) for name, home in _REACHED.items()]
    return "\n".join(parts)


def _contract() -> str:
    return _find(Path(proxy.__file__), "CONTRACT")[1]


def _homes() -> dict[str, str]:
    """Return the module of each public name, as type checkers read it."""
    tree = ast.parse(Path(proxy.__file__).read_text())
    return {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }


def _section(name: str, home: str) -> str:
    spec = find_spec(home)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin)
    node, below = _find(path, name)
    if isinstance(node, ast.ClassDef):
        return "\n".join(_class(node))
    if isinstance(node, Function):
        return f"## {name}\n\n```python\n{_signature(node)}\n```\n\n{_doc(node)}\n"
    written = ast.get_source_segment(path.read_text(), node)
    return f"## {name}\n\n```python\n{written}\n```\n\n{below}\n"


def _find(path: Path, name: str) -> Statement:
    for node, below in _with_texts(ast.parse(path.read_text()).body):
        if _name(node) == name:
            return node, below
    raise LookupError(f"{path.name} does not define {name}")


def _with_texts(body: list[ast.stmt]) -> Iterator[Statement]:
    for at, node in enumerate(body):
        following = body[at + 1] if at + 1 < len(body) else None
        yield node, _text(following)


def _text(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        value = node.value.value
        if isinstance(value, str):
            return _flowing(value)
    return ""


def _name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.ClassDef | Function):
        return node.name
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(target, ast.Name) else None


def _class(node: ast.ClassDef) -> Iterator[str]:
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    yield f"## {node.name}\n"
    yield f"```python\nclass {node.name}{f'({bases})' if bases else ''}\n```\n"
    yield f"{_doc(node)}\n"
    own = _OWN.get(node.name, set())
    for member, below in _with_texts(node.body):
        name = _name(member)
        if name is None or name in own or (name.startswith("_") and name not in _SPECIAL):
            continue
        if isinstance(member, Function):
            if _is_setter(member) or not ast.get_docstring(member):
                continue
            yield _member(_title(member), _doc(member))
        elif isinstance(member, ast.AnnAssign):
            annotation = ast.unparse(member.annotation)
            value = f" = {ast.unparse(member.value)}" if member.value is not None else ""
            yield _member(f"{name}: {annotation}{value}", below)


_SPECIAL = ("__init__", "__call__")


def _member(title: str, text: str) -> str:
    entry = f"- `{title}`"
    return f"{entry}\n{textwrap.indent(text, '  ')}\n" if text else f"{entry}\n"


def _is_setter(node: Function) -> bool:
    return any(isinstance(one, ast.Attribute) for one in node.decorator_list)


def _title(node: Function) -> str:
    decorators = {one.id for one in node.decorator_list if isinstance(one, ast.Name)}
    if "property" in decorators:
        returned = "" if node.returns is None else f": {ast.unparse(node.returns)}"
        return f"{node.name}{returned}"
    return _signature(node)


def _signature(node: Function) -> str:
    kind = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    returned = "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
    arguments = ast.unparse(node.args).removeprefix("self, ").removeprefix("self")
    arguments = arguments.removeprefix("cls, ")
    return f"{kind}{node.name}({arguments}){returned}"


def _doc(node: ast.ClassDef | Function) -> str:
    return _flowing(ast.get_docstring(node) or "")


def _flowing(text: str) -> str:
    """Return paragraphs on one line each: Markdown wraps them itself."""
    paragraphs = textwrap.dedent(text).strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

"""One public name as Markdown: its shape, its docstring, its members, read from its source."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Collection, Iterator
from pathlib import Path

import proxy

_MADE = {
    "Brain",
    "ConfigError",
    "GatewayError",
    "Problem",
    "TestRoute",
    "Unauthenticated",
    "Unavailable",
}
"""Classes that an author makes, whose constructors have no docstring of their own."""

_SPECIAL = ("__init__", "__call__")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Statement = tuple[ast.stmt, str]
"""A statement, and the text that stands below it where it is an attribute."""


def path_of(module: str) -> Path:
    """Return the file of a module of `proxy`, without importing it."""
    whole = Path(proxy.__file__).parent.joinpath(*module.split(".")[1:])
    return whole / "__init__.py" if whole.is_dir() else whole.with_suffix(".py")


def homes(module: str) -> dict[str, str]:
    """Return the module of each name that `module` imports, as type checkers read it."""
    tree = ast.parse(path_of(module).read_text())
    return {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }


def section(name: str, home: str, own: Collection[str] = ()) -> str:
    """Return the section of `name`, defined in the module `home`, without the members `own`."""
    path = path_of(homes(home).get(name, home))  # `home` may pass it on
    node, below = find(path, name)
    if isinstance(node, ast.ClassDef):
        return "\n".join(_class(node, own))
    if isinstance(node, Function):
        marks = "".join(f"@{ast.unparse(one)}\n" for one in node.decorator_list)
        return f"## {name}\n\n```python\n{marks}{_signature(node)}\n```\n\n{_doc(node)}\n"
    written = ast.get_source_segment(path.read_text(), node)
    told = f"\n{below}\n" if below else ""
    return f"## {name}\n\n```python\n{written}\n```\n{told}"


def module_text(module: str) -> str:
    """Return a module's docstring, its first line left out: the heading says it."""
    text = ast.get_docstring(ast.parse(path_of(module).read_text())) or ""
    return flowing(text.partition("\n\n")[2])


def find(path: Path, name: str) -> Statement:
    """Return the statement of a file that defines `name`. Raises LookupError."""
    for node, below in _with_texts(ast.parse(path.read_text()).body):
        if _name(node) == name:
            return node, below
    raise LookupError(f"{path.name} does not define {name}")


def _with_texts(body: list[ast.stmt]) -> Iterator[Statement]:
    for at, node in enumerate(body):
        following = body[at + 1] if at + 1 < len(body) else None
        if isinstance(node, ast.If):  # `if TYPE_CHECKING:` is what authors may know
            yield from _with_texts(node.body)
        yield node, _text(following)


def _text(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        value = node.value.value
        if isinstance(value, str):
            return flowing(value)
    return ""


def _name(node: ast.stmt) -> str | None:
    if isinstance(node, ast.ClassDef | Function):
        return node.name
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(target, ast.Name) else None


# -- classes


def _class(node: ast.ClassDef, own: Collection[str]) -> Iterator[str]:
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    yield f"## {node.name}\n"
    yield f"```python\nclass {node.name}{f'({bases})' if bases else ''}\n```\n"
    yield f"{_doc(node)}\n"
    shown = dict.fromkeys(own)
    for title, name, text in _members(node):
        if name not in shown:
            shown[name] = None
            yield _member(title, text)


def _members(node: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    """Yield title, name and text of each member: as written, what `__init__` sets behind it."""
    enum = any("Enum" in ast.unparse(base) for base in node.bases)
    for member, below in _with_texts(node.body):
        name = _name(member)
        if name is None or (name.startswith("_") and name not in _SPECIAL):
            continue
        if isinstance(member, Function):
            if _is_shown(member, node.name):
                yield _title(member), name, _doc(member)
            if name == "__init__":
                yield from ((title, attribute, "") for title, attribute in _set_in(member))
        elif isinstance(member, ast.AnnAssign):
            annotation = ast.unparse(member.annotation)
            value = f" = {ast.unparse(member.value)}" if member.value is not None else ""
            yield f"{name}: {annotation}{value}", name, below
        elif enum and isinstance(member, ast.Assign):
            yield f"{name} = {ast.unparse(member.value)}", name, below


def _is_shown(member: Function, owner: str) -> bool:
    if any(isinstance(one, ast.Attribute) for one in member.decorator_list):
        return False  # a setter: its property is shown
    return bool(ast.get_docstring(member)) or (member.name == "__init__" and owner in _MADE)


def _set_in(init: Function) -> Iterator[tuple[str, str]]:
    """Yield title and name of the public attributes that a constructor sets."""
    given = [*init.args.args, *init.args.kwonlyargs]
    types = {one.arg: ast.unparse(one.annotation) for one in given if one.annotation is not None}
    for statement in init.body:
        if isinstance(statement, ast.AnnAssign):
            name, kind = _own_name(statement.target), ast.unparse(statement.annotation)
        elif isinstance(statement, ast.Assign):
            name, kind = _own_name(statement.targets[0]), _kind(statement.value, types)
        else:
            continue
        if not name.startswith("_"):
            yield (f"{name}: {kind}" if kind else name), name


def _own_name(target: ast.expr) -> str:
    """Return the attribute's name of `self.name`, "_" for another target."""
    if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
        return "_"
    return target.attr if target.value.id == "self" else "_"


def _kind(value: ast.expr | None, types: dict[str, str]) -> str:
    if isinstance(value, ast.Constant):
        return type(value.value).__name__
    return types.get(value.id, "") if isinstance(value, ast.Name) else ""


def _member(title: str, text: str) -> str:
    entry = f"- `{title}`"
    return f"{entry}\n{textwrap.indent(text, '  ')}\n" if text else f"{entry}\n"


# -- functions


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
    return flowing(ast.get_docstring(node) or "")


def flowing(text: str) -> str:
    """Return paragraphs on one line each: Markdown wraps them itself."""
    paragraphs = textwrap.dedent(text).strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

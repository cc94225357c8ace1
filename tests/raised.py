"""Which error codes the source raises, and where.

A code is followed from where it is written to where it is raised: through a variable, a parameter
of a function, an attribute or a property. What can't be followed is a failure: write it plainly.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from proxy.errors import Unauthenticated, Unavailable

ROOT = Path(__file__).parent.parent
RAISERS = ("GatewayError", "Problem", "Unauthenticated", "Unavailable")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Unclear(Exception):
    """A code can't be followed to where it is written."""


@dataclass(frozen=True, eq=False)
class Module:
    """One file, and which function each of its nodes stands in."""

    path: Path
    tree: ast.Module
    function_of: dict[ast.AST, Function | None]


@cache
def modules() -> tuple[Module, ...]:
    """Return all of the gateway and its plugins, but what defines the errors or only asks of them."""
    paths = {path for part in ("proxy", "plugins") for path in (ROOT / part).rglob("*.py")}
    paths -= {ROOT / "proxy" / "errors.py", *(ROOT / "proxy" / "explaining").glob("*.py")}
    return tuple(map(module_of, sorted(paths)))


def module_of(path: Path, text: str = "") -> Module:
    tree = ast.parse(text or path.read_text())
    function_of: dict[ast.AST, Function | None] = {}

    def visit(node: ast.AST, within: Function | None) -> None:
        function_of[node] = within
        inner = node if isinstance(node, Function) else within
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(tree, None)
    return Module(path, tree, function_of)


@dataclass(frozen=True, eq=False)
class Raised:
    """One place where an error is made."""

    kind: str
    call: ast.Call
    module: Module

    def __str__(self) -> str:
        return f"{self.module.path.relative_to(ROOT)}:{self.call.lineno}"

    def argument(self, position: int | None, name: str) -> ast.expr | None:
        given = [each.value for each in self.call.keywords if each.arg == name]
        if position is not None and len(self.call.args) > position:
            given.append(self.call.args[position])
        return given[0] if given else None

    @property
    def codes(self) -> set[str]:
        position = {"GatewayError": 0, "Unauthenticated": 0, "Problem": 1}.get(self.kind)
        given = self.argument(position, "code")
        if given is None:
            made = {"Unauthenticated": Unauthenticated, "Unavailable": Unavailable}[self.kind]
            return {inspect.signature(made).parameters["code"].default}
        return written(given, self.module)


@cache
def raised() -> tuple[Raised, ...]:
    return tuple(place for module in modules() for place in raised_in(module))


def raised_in(module: Module) -> Iterator[Raised]:
    for node in ast.walk(module.tree):
        kind = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if kind in RAISERS:
            yield Raised(kind, node, module)


def fallbacks() -> set[str]:
    """Return the rows that proxy/errors.py takes for codes that have none."""
    tree = ast.parse((ROOT / "proxy" / "errors.py").read_text())
    return {
        node.slice.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and ast.unparse(node.value) == "CODES"
        and isinstance(node.slice, ast.Constant)
    }


# -- following a code


def written(value: ast.expr | None, module: Module, seen: frozenset[str] = frozenset()) -> set[str]:
    """Return the texts that an expression can be. Raises Unclear."""
    match value:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.IfExp():
            return written(value.body, module, seen) | written(value.orelse, module, seen)
        case ast.BoolOp():
            return set().union(*(written(each, module, seen) for each in value.values))
        case ast.Dict():
            return set().union(*(written(each, module, seen) for each in value.values))
        case ast.Subscript(value=inner):
            return written(inner, module, seen)
        case ast.Call(func=ast.Attribute(value=inner, attr="get"), args=[_, *default]):
            found = written(inner, module, seen)
            return found.union(*(written(each, module, seen) for each in default))
        case ast.Name(id=name):
            return _named(name, value, module, seen)
        case ast.Attribute(attr="code"):
            return set()  # another error's: it has been raised elsewhere
        case ast.Attribute(attr=name):
            return _attribute(name, seen)
    raise Unclear(ast.unparse(value) if value else "nothing")


def _named(name: str, at: ast.expr, module: Module, seen: frozenset[str]) -> set[str]:
    function = module.function_of[at]
    if function is not None:
        found = list(_assigned(name, function))
        if found:
            return set().union(*(written(each, module, seen) for each in found))
        names = [each.arg for each in (*function.args.args, *function.args.kwonlyargs)]
        if name in names:
            return _passed(name, names.index(name), function, module, seen)
    for other in (module, *modules()):
        found = [
            value
            for node in other.tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for value in _assigned(name, node)
        ]
        if found:
            return set().union(*(written(each, other, seen) for each in found))
    raise Unclear(name)


def _assigned(name: str, inside: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(inside):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        aimed = any(isinstance(each, ast.Name) and each.id == name for each in targets)
        if aimed and isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value:
            yield node.value


def _passed(
    name: str, position: int, function: Function, module: Module, seen: frozenset[str]
) -> set[str]:
    """Return what callers pass for a parameter; a private function is called from its own folder."""
    if function.name in seen:
        return set()
    found: set[str] = set()
    for other in modules():
        if function.name.startswith("_") and other.path.parent != module.path.parent:
            continue
        for node in ast.walk(other.tree):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name) and node.func.id == function.name:
                at = position
            elif isinstance(node.func, ast.Attribute) and node.func.attr == function.name:
                at = position - (function.args.args[0].arg in ("self", "cls"))
            else:
                continue
            given = [each.value for each in node.keywords if each.arg == name]
            given += node.args[at : at + 1]
            for each in given[:1]:
                found |= written(each, other, seen | {function.name})
    if not found:
        raise Unclear(f"{name} of {function.name}()")
    return found


def _attribute(name: str, seen: frozenset[str]) -> set[str]:
    """Return what a property of this name returns, or what is assigned to such an attribute."""
    if name in seen:
        return set()
    found: set[str] = set()
    for module in modules():
        for node in ast.walk(module.tree):
            values: list[ast.expr | None] = []
            if isinstance(node, Function) and node.name == name:
                values = [each.value for each in ast.walk(node) if isinstance(each, ast.Return)]
            elif isinstance(node, ast.Assign):
                aims = [each for each in node.targets if isinstance(each, ast.Attribute)]
                values = [node.value] * any(each.attr == name for each in aims)
            for value in values:
                found |= written(value, module, seen | {name})
    if not found:
        raise Unclear(f".{name}")
    return found

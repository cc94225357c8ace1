"""What a PromQL expression asks for and what it answers with, held against a real scrape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import promql_parser as promql

from proxy.codes import CODES
from tests.functional.scraping import Scrape

OF_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus puts on everything that it scrapes."""

KNOWN_VALUES: Mapping[str, set[str]] = {
    "code": {"", *CODES},
    "status_class": {"1xx", "2xx", "3xx", "4xx", "5xx", "none"},
    "job": {"brain-gateway"},
}
"""Labels whose values are a set of their own; of others, a scrape knows them."""


class Series:
    """The names, labels and values of labels that there are."""

    def __init__(self, scraped: Scrape) -> None:
        self.labels: dict[str, set[str]] = {"up": set()}
        self.values: dict[str, set[str]] = {
            name: set(known) for name, known in KNOWN_VALUES.items()
        }
        for sample in scraped.samples:
            self.labels.setdefault(sample.name, set()).update(sample.labels)
            for label, value in sample.labels.items():
                if label not in KNOWN_VALUES:
                    self.values.setdefault(label, set()).add(value)


def troubles(expression: str, series: Series) -> list[str]:
    """Return what an expression names that no scrape has. Raises ValueError where it is no PromQL."""
    return [
        *_selected(promql.parse(expression), series),
        *_grouped(promql.parse(expression), series),
    ]


def _selected(tree: promql.Expr, series: Series) -> Iterator[str]:
    for selector in selectors(tree):
        labels = series.labels.get(selector.name)
        if labels is None:
            yield f"no metric {selector.name}"
            continue
        for matcher in selector.matchers.matchers:
            if matcher.name not in labels | OF_PROMETHEUS:
                yield f"{selector.name} has no label {matcher.name}"
            elif matcher.name in series.values:
                yield from _matched(matcher, series.values[matcher.name])


def _matched(matcher: promql.Matcher, known: set[str]) -> Iterator[str]:
    value = matcher.value.replace("\\\\", "\\")
    if matcher.op in (promql.MatchOp.Equal, promql.MatchOp.NotEqual):
        if value and value not in known:
            yield f"{matcher.name} is never {value!r}"
        return
    for part in value.split("|"):
        if not any(re.fullmatch(part, each) for each in known):
            yield f"{matcher.name} is never like {part!r}"


def _grouped(tree: promql.Expr, series: Series) -> Iterator[str]:
    """Yield labels by which is grouped or matched and which what is grouped does not have."""
    for node in nodes(tree):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            lost = set(node.modifier.labels) - answered(node.expr, series)
            yield from (f"nothing to group by: {label}" for label in sorted(lost))
        if isinstance(node, promql.BinaryExpr) and not _is_number(node):
            yield from _joined(node, series)


def _joined(node: promql.BinaryExpr, series: Series) -> Iterator[str]:
    one, other = answered(node.lhs, series), answered(node.rhs, series)
    matching = node.modifier.matching if node.modifier else None
    if matching is not None:
        lost = set(matching.labels) - (one & other)
        yield from (f"nothing to match by: {label}" for label in sorted(lost))
    elif str(node.op) != "or" and one != other:
        yield f"the sides have other labels: {sorted(one ^ other)}"


def _is_number(node: promql.BinaryExpr) -> bool:
    return any(not list(selectors(side)) for side in (node.lhs, node.rhs))


def nodes(tree: promql.Expr) -> list[promql.Expr]:
    found: list[promql.Expr] = []
    promql.walk(tree, pre_visit=found.append)
    return found


def selectors(tree: promql.Expr) -> Iterator[promql.VectorSelector]:
    return (node for node in nodes(tree) if isinstance(node, promql.VectorSelector))


def answered(tree: promql.Expr, series: Series) -> set[str]:
    """Return the labels of what an expression answers with."""
    match tree:
        case promql.VectorSelector():
            return series.labels.get(tree.name, set()) | OF_PROMETHEUS
        case promql.MatrixSelector():
            return answered(tree.vector_selector, series)
        case promql.AggregateExpr():
            return _aggregated(tree, series)
        case promql.Call():
            return _called(tree, series)
        case promql.BinaryExpr():
            return _both(tree, series)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return answered(tree.expr, series)
    return set()


def _aggregated(tree: promql.AggregateExpr, series: Series) -> set[str]:
    inner = answered(tree.expr, series)
    if tree.modifier is None:
        return inner if str(tree.op) in ("topk", "bottomk") else set()
    by = set(tree.modifier.labels)
    return by if tree.modifier.type == promql.AggModifierType.By else inner - by


def _called(tree: promql.Call, series: Series) -> set[str]:
    if tree.func.name == "absent":
        return {each.name for node in selectors(tree) for each in node.matchers.matchers}
    found: set[str] = set().union(*(answered(each, series) for each in tree.args))
    return found - {"le"} if tree.func.name == "histogram_quantile" else found


def _both(tree: promql.BinaryExpr, series: Series) -> set[str]:
    one, other = answered(tree.lhs, series), answered(tree.rhs, series)
    if str(tree.op) == "or" or not list(selectors(tree.lhs)):
        return one | other
    matching = tree.modifier.matching if tree.modifier else None
    arithmetic = str(tree.op) not in ("and", "unless")
    if matching is not None and arithmetic and not tree.modifier.group_labels:
        return set(matching.labels)
    return one


def named_in_templates(texts: Iterable[str]) -> set[str]:
    """Return the labels that templates of alerts (`$labels.x`) and legends (`{{x}}`) put in."""
    return {
        name
        for text in texts
        for name in re.findall(r"\$labels\.(\w+)|\{\{\s*([a-z_]+)\s*\}\}", text)
        for name in name
        if name
    }

"""Where requests go: URLs, mappings and `service/<name>` become named pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proxy.config.addresses import is_private, parse_base, parse_url
from proxy.config.codes import Code
from proxy.config.diagnostics import nearest
from proxy.config.formats import SERVICE_PREFIX
from proxy.config.models import TargetSpec, UpstreamSpec, UpstreamTls
from proxy.config.settings import Blocks, block_schema
from proxy.config.tree import Path
from proxy.config.watching import KEYS, Watching
from proxy.config.work import Work

_OWN = frozenset({"url", "targets", "path", "tls"}) | KEYS


class Upstreams:
    """All pools of one configuration. A service's own is compiled when it is first referred to."""

    def __init__(self, work: Work) -> None:
        self.specs: list[UpstreamSpec] = []
        self._work = work
        self._blocks = Blocks()
        self._schema = block_schema("defaults", "upstream")
        self._watching = Watching(work)
        self._defaults = self._with_settings(
            UpstreamSpec("", ()), work.get("defaults", "upstream") or {}, ("defaults", "upstream")
        )
        self._of_service: dict[str, int | None] = {}
        self._pending: set[str] = set()

    def of_service(self, name: str) -> int | None:
        """Return the index of a service's upstream; None when it is wrong, which is reported."""
        if name not in self._of_service:
            self._pending.add(name)
            path, value = self._place_of(name)
            usable = value is not None and path not in self._work.broken
            self._of_service[name] = self.add(name, value, path) if usable else None
            self._pending.discard(name)
        return self._of_service[name]

    def add(self, name: str, value: Any, path: Path, outer: int | None = None) -> int | None:
        """Return the index of the pool that `value` asks for; `outer` gives what it leaves out."""
        if isinstance(value, str) and value.startswith(SERVICE_PREFIX):
            return self._referred(value.removeprefix(SERVICE_PREFIX), path)
        base = self._defaults if outer is None else self.specs[outer]
        spec = self._with_targets(replace(base, name=name), value, path)
        if spec is None:
            return None
        settings = value if isinstance(value, dict) else {}
        if "targets" in settings:
            self._watching.check_targets(spec, path)
        self.specs.append(self._with_settings(spec, settings, path))
        return len(self.specs) - 1

    def _place_of(self, service: str) -> tuple[Path, Any]:
        value = self._work.data["services"][service]
        if isinstance(value, dict):
            return ("services", service, "upstream"), value.get("upstream")
        return ("services", service), value

    def _referred(self, service: str, path: Path) -> int | None:
        given = self._work.data.get("services")
        services = given if isinstance(given, dict) else {}
        span = self._work.value(*path)
        if service not in services:
            if self._work.complete:
                hint = nearest(service, services)
                message = f"there is no service '{service}'"
                self._work.report.error(Code.UNKNOWN_SERVICE, message, span, hint)
            return None
        if service in self._pending:
            message = f"service '{service}' refers back to itself"
            self._work.report.error(Code.UPSTREAM, message, span, "give one of them a URL")
            return None
        return self.of_service(service)

    def _with_targets(self, spec: UpstreamSpec, value: Any, path: Path) -> UpstreamSpec | None:
        urls = [(value, path)] if isinstance(value, str) else self._urls(value, path)
        if urls:
            targets, base = self._split(urls)
            spec = replace(spec, targets=targets, path=base)
        elif not spec.targets:
            message = "an upstream needs 'url' or 'targets'"
            self._work.report.error(Code.UPSTREAM, message, self._work.key(*path))
            return None
        if isinstance(value, dict) and "path" in value:
            if urls and spec.path:
                message, span = (
                    "the path stands in the URL and in 'path'",
                    self._work.key(*path, "path"),
                )
                self._work.report.error(Code.UPSTREAM, message, span, "write it once")
            spec = replace(spec, path=parse_base(value["path"]))
        return spec

    def _urls(self, given: Mapping[str, Any], path: Path) -> list[tuple[Any, Path]]:
        if "url" in given and "targets" in given:
            message = "an upstream has 'url' or 'targets', not both"
            self._work.report.error(Code.UPSTREAM, message, self._work.key(*path, "targets"))
        if "url" in given:
            return [(given["url"], (*path, "url"))]
        targets = given.get("targets", ())
        return [(target, (*path, "targets", index)) for index, target in enumerate(targets)]

    def _split(self, urls: list[tuple[Any, Path]]) -> tuple[tuple[TargetSpec, ...], str]:
        parsed = [(_target(given), path) for given, path in urls]
        targets: dict[str, TargetSpec] = {}
        for (target, base), path in parsed:
            if base and len(parsed) > 1:
                message = "a path in one of several targets: it would differ by chance"
                self._work.report.error(
                    Code.UPSTREAM, message, self._work.value(*path), "write 'path' beside 'targets'"
                )
            if str(target) in targets:
                message = f"target {target} is here twice"
                self._work.report.error(Code.DUPLICATE, message, self._work.value(*path))
            targets[str(target)] = target
        return tuple(targets.values()), parsed[0][0][1]

    def _with_settings(
        self, spec: UpstreamSpec, given: Mapping[str, Any], path: Path
    ) -> UpstreamSpec:
        settings = {key: value for key, value in given.items() if key not in _OWN}
        spec = self._blocks.merged(spec, self._schema, settings)
        spec = self._watching.merged(spec, given, path)
        tls = given.get("tls")
        return spec if tls is None else replace(spec, tls=self._tls(spec.tls, tls, (*path, "tls")))

    def _tls(self, outer: UpstreamTls, given: Mapping[str, Any], path: Path) -> UpstreamTls:
        known = {key: given[key] for key in ("verify", "ca", "server_name") if key in given}
        if "ca" in known:
            known["ca"] = self._work.file((*path, "ca"), known["ca"])
        if known.get("verify") is False:
            message = (
                "certificates are not checked: anyone on the way can read and change everything"
            )
            span = self._work.value(*path, "verify")
            self._work.report.warn(Code.UNVERIFIED, message, span, "name the authority in 'ca'")
        return replace(outer, **known)


def _target(given: Any) -> tuple[TargetSpec, str]:
    """Return a target and its URL's path; `given` is a URL, or a mapping with it and more."""
    if isinstance(given, str):
        return parse_url(given)
    target, base = parse_url(given["url"])
    settings = {key: given[key] for key in ("weight", "backup") if key in given}
    return replace(target, **settings), base


def all_private(spec: UpstreamSpec) -> bool:
    """Say whether every target is near by its name alone."""
    return all(is_private(target.host) for target in spec.targets)

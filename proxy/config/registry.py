"""What is known of each plugin that a file names: its schema, its stage, and how to make one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.config.plugin_schema import checked
from proxy.config.schema import Schema, read_schema
from proxy.errors import ConfigError
from proxy.plugin.base import Authenticator, Plugin
from proxy.plugin.catalog import Catalog
from proxy.plugin.dropins import DropIn, DropInError
from proxy.plugin.references import with_references
from proxy.plugin.stages import Stage


@dataclass(frozen=True, slots=True)
class Known:
    """`made` is None where no plugin may run; `schema` is then {} unless it was shipped."""

    schema: Schema
    stage: Stage
    authenticator: bool
    made: type[Plugin] | None = None
    sure: bool = True
    needs_caller: bool | None = None


class Registry:
    """Looks plugins up, each once. Without `run_plugins` nothing is imported: see `_unseen`."""

    def __init__(self, catalog: Catalog, *, run_plugins: bool) -> None:
        self.catalog = catalog
        self._run = run_plugins
        self._known: dict[tuple[str, bool], Known | ConfigError] = {}
        self._dropins: dict[str, DropIn] = {}
        self._shipped: Mapping[str, Any] | None = None

    def add(self, dropins: Iterable[DropIn]) -> None:
        """Know `dropins` too, before anything is looked up."""
        self._dropins = {each.name: each for each in dropins}
        self.catalog = self.catalog.with_dropins(self._dropins.values())

    def get(self, name: str, *, use: bool = False) -> Known:
        """Return what is known of a name, or of `module:attr` with `use`.

        Raises KeyError for a name that nothing installs, ConfigError for one that can't be loaded.
        """
        key = (name, use)
        if key not in self._known:
            self._known[key] = self._look_up(name, use=use)
        found = self._known[key]
        if isinstance(found, ConfigError):
            raise found
        return found

    def schema(self, name: str, use: bool) -> Schema | None:
        """Return the schema of the options, or None where there is none to be had."""
        try:
            return self.get(name, use=use).schema
        except (KeyError, ConfigError):
            return None

    def per_worker(self, name: str, use: bool) -> str | None:
        """Return what each worker keeps by itself of a plugin, None where that is not known."""
        try:
            known = self.get(name, use=use)
        except (KeyError, ConfigError):
            return None
        return known.made.per_worker if known.made else known.schema.get("x-per-worker")

    def _look_up(self, name: str, *, use: bool) -> Known | ConfigError:
        if not use and name not in self.catalog:
            raise KeyError(name)
        if not self._run:
            return self._unseen(name)
        try:
            found = checked(name, self.catalog.use(name) if use else self.catalog.get(name))
        except DropInError as error:
            return error
        except ConfigError as error:
            dropin = None if use else self._dropins.get(name)
            return error if dropin is None else DropInError(str(error), dropin.file, 1, error.hint)
        return Known(
            with_references(found.schema), found.stage, issubclass(found, Authenticator), found
        )

    def _unseen(self, name: str) -> Known:
        """Judge by the schemas that are shipped; of others only the name is known."""
        if self._shipped is None:
            self._shipped = read_schema("plugins.schema.json")["properties"]
        shipped = self._shipped.get(name)
        if shipped is None:
            return Known({}, Stage.TRANSFORM, authenticator=False, sure=False)
        return Known(
            shipped,
            Stage[shipped["x-stage"]],
            shipped["x-authenticator"],
            needs_caller=shipped.get("x-needs-caller"),
        )

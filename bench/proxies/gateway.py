"""The gateway itself, started as a user starts it: ``brain run FILE``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import routes
from bench.ask import status_of
from bench.process import free_port
from bench.proxies.base import Proxy


def brain(*arguments: str) -> list[str]:
    """The command beside this interpreter, or the module where the package is not installed."""
    script = Path(sys.executable).with_name("brain")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "proxy"]
    return [*command, *arguments]


class Gateway(Proxy):
    """``services`` is the text of the file's sections after ``gateway:``; default: one public one.

    ``runner`` replaces the command, for the one scenario that puts a ticker into its loop.
    """

    name = "gateway"
    logs = True

    def __init__(
        self,
        folder: Path,
        upstream: int,
        *,
        logged: bool = False,
        services: str = "",
        runner: Sequence[str] = (),
        workers: int = 1,
    ) -> None:
        super().__init__(folder, upstream, logged=logged)
        self.admin = free_port()
        self.file = self.folder / "routes.yaml"
        self._services = services or routes.one_service(upstream)
        self._runner = runner
        self._workers = workers

    def environment(self) -> Mapping[str, str]:
        return {"BRAIN_WORKERS": str(self._workers)}

    @classmethod
    def version(cls) -> str | None:
        if importlib.util.find_spec("proxy.cli.main") is None:
            return None
        try:
            return version("brain-gateway")
        except PackageNotFoundError:
            return "not installed, from the checkout"

    def command(self) -> list[str]:
        self.write_services(self._services)
        # No watch: the scenarios reload by signal, at a moment that they know.
        arguments = ["run", str(self.file), "--no-watch"]
        return [*self._runner, *arguments] if self._runner else brain(*arguments)

    def write_services(self, services: str) -> None:
        """Writes the whole file again; a running gateway reads it at the next reload."""
        head = routes.head(self.port, self.admin, self.folder)
        chain = routes.logging_chain(self.folder / "access.log") if self.logged else ""
        # A rename, so that no reload can see half a file.
        draft = self.file.with_suffix(".draft")
        draft.write_text(head + chain + services)
        draft.rename(self.file)

    def path(self, path: str) -> str:
        return f"/api/brain/api{path}"

    def up(self) -> bool:
        return status_of(self.admin, "/ready") == 200

"""What the command line and `BRAIN_*` put over the files, at the start and at each reload."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from proxy.admin.effective import Over
from proxy.config.models import Address, Config
from proxy.config.workers import check_adjusted


@dataclass(frozen=True)
class Overrides:
    """None leaves what the files say. `grace` is in seconds."""

    listen: Address | None = None
    admin: Address | None = None
    control: str | None = None
    workers: int | None = None
    state_dir: str | None = None
    grace: float | None = None
    log_format: str | None = None

    def adjust(self, config: Config) -> Config:
        """Return `config` with these settings in it.

        Raises ConfigError where it has a plugin that so many workers can't share.
        """
        gateway: dict[str, Any] = {
            "listen": self.listen,
            "admin": self.admin,
            "control": self.control,
            "workers": self.workers,
            "state_dir": self.state_dir,
        }
        changes = {key: value for key, value in gateway.items() if value is not None}
        if self.grace is not None:
            changes["shutdown"] = replace(config.gateway.shutdown, grace=self.grace)
        log = config.log if self.log_format is None else replace(config.log, format=self.log_format)
        adjusted = replace(config, gateway=replace(config.gateway, **changes), log=log)
        check_adjusted(adjusted)
        return adjusted

    @property
    def over(self) -> Over:
        """The same as text, by section and key, for /config."""
        grace = None if self.grace is None else {"grace": f"{self.grace:g}s"}
        gateway: dict[str, object] = {
            "listen": self.listen and str(self.listen),
            "admin": self.admin and str(self.admin),
            "control": self.control,
            "workers": self.workers,
            "state_dir": self.state_dir,
            "shutdown": grace,
        }
        log: dict[str, object] = {"format": self.log_format}
        sections = {"gateway": gateway, "log": log}
        return {
            section: {key: value for key, value in keys.items() if value is not None}
            for section, keys in sections.items()
        }

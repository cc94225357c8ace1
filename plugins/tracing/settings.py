"""Where spans go and what they say of this gateway, as the file has it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from proxy import Problems

_PATH = "/v1/traces"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e]+")
_OWN = frozenset(
    {"content-encoding", "content-length", "content-type", "host", "transfer-encoding"}
)

EXTRA = "install brain-gateway[tracing]"
"""What to do where the libraries are absent."""


@dataclass(frozen=True)
class Settings:
    """A collector and this gateway's own attributes. `timeout` is in seconds."""

    endpoint: str
    headers: Mapping[str, str]
    timeout: float
    service_name: str
    resource: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where traces are posted (OTLP specification, OTLP/HTTP request)."""
        base = self.endpoint.rstrip("/")
        return base if base.endswith(_PATH) else base + _PATH

    @property
    def key(self) -> str:
        """What tells equal settings from others, and no secret: it may be logged."""
        parts = (self.url, sorted(self.headers.items()), self.timeout, self.service_name)
        text = repr((*parts, sorted(self.resource.items())))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def check(self, problems: Problems) -> None:
        _check_endpoint(self.endpoint, problems)
        for name, value in self.headers.items():
            if not _NAME.fullmatch(name) or name.lower() in _OWN:
                problems.add(f"headers.{name}", f"'{name}' can't be set here")
            elif not _VALUE.fullmatch(value):
                problems.add(f"headers.{name}", "expected printable ASCII characters")
        if not _is_installed():
            problems.add("export", "OpenTelemetry's libraries are not installed", hint=EXTRA)


def _check_endpoint(endpoint: str, problems: Problems) -> None:
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not re.fullmatch(r"[\x21-\x7e]+", endpoint):
        problems.add("endpoint", "expected a URL such as http://127.0.0.1:4318")
    elif "@" in parts.netloc:
        problems.add(
            "endpoint", "credentials don't belong into a URL", hint="put them in 'headers'"
        )
    elif parts.query or parts.fragment:
        problems.add("endpoint", "the collector's URL has no query and no fragment")


def _is_installed() -> bool:
    """Tell whether the extra is there, without importing what it brings."""
    try:
        return find_spec("opentelemetry.proto") is not None
    except ImportError:
        return False

"""TLS towards upstreams: verified unless the file says otherwise."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from proxy.config.models import UpstreamSpec, UpstreamTls
from proxy.errors import ConfigError

Stamp = tuple[int, int] | None


def client_contexts(specs: Iterable[UpstreamSpec]) -> Mapping[UpstreamSpec, ssl.SSLContext]:
    """Return the contexts of those upstreams that speak TLS. Reads files. Raises ConfigError."""
    return {
        spec: client_context(spec.tls)
        for spec in specs
        if any(target.scheme == "https" for target in spec.targets)
    }


def client_context(tls: UpstreamTls) -> ssl.SSLContext:
    """Return the context for one set of options, made once: loading the roots takes milliseconds.

    A CA file that was replaced gets a new context. Raises ConfigError when it can't be read.
    """
    try:
        return _context(tls, _stamp(tls.ca))
    except OSError as error:
        raise ConfigError(f"can't read the CA file {tls.ca}: {error.strerror or error}") from None


def _stamp(file: str | None) -> Stamp:
    if file is None:
        return None
    found = Path(file).stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)
def _context(tls: UpstreamTls, _ca: Stamp) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context

"""TLS towards upstreams: verified unless the file says otherwise."""

from __future__ import annotations

import ssl
from functools import lru_cache

from proxy.config.models import UpstreamTls
from proxy.errors import ConfigError


@lru_cache(maxsize=64)
def client_context(tls: UpstreamTls) -> ssl.SSLContext:
    """Return the context for one set of options, made once: loading the roots takes milliseconds.

    Raises ConfigError when the CA file can't be read.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except OSError as error:
        raise ConfigError(f"can't read the CA file {tls.ca}: {error.strerror or error}") from None
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context

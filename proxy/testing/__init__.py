"""The plugin authors' test kit: a plugin run alone, a backend to ask, a real gateway.

`call` runs one request through a plugin as a gateway would, without sockets. `check_plugin` holds a
plugin to what every plugin must do. `Backend` is a real server that records and answers as told.
With pytest, the fixtures `backend` and `brain` are there once `brain-gateway` is installed: the
second runs a real gateway on loopback.
"""

from proxy.testing.backend import Backend, Received
from proxy.testing.calls import UNREACHED, Called, call
from proxy.testing.conformance import check_plugin
from proxy.testing.gateway import Brain, Reply
from proxy.testing.making import OptionsError, make, running
from proxy.testing.messages import principal, upstream_answer

__all__ = [
    "UNREACHED",
    "Backend",
    "Brain",
    "Called",
    "OptionsError",
    "Received",
    "Reply",
    "call",
    "check_plugin",
    "make",
    "principal",
    "running",
    "upstream_answer",
]

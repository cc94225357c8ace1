"""The order in which a chain runs."""

from __future__ import annotations

from enum import IntEnum


class Stage(IntEnum):
    """Where in a chain a plugin stands, outermost first.

    Inside a stage the order is global, then service, then route, each as listed. `CREDENTIALS` is
    innermost always, so that no other plugin sees an upstream's secret and a retry with a fresh one
    runs nothing else twice.
    """

    OBSERVE = 0
    CORS = 1
    GUARD = 2
    AUTHENTICATE = 3
    AUTHORIZE = 4
    HOOK = 5
    TRANSFORM = 6
    CREDENTIALS = 7


ONLY_ON_ROUTES = frozenset({Stage.AUTHENTICATE, Stage.AUTHORIZE, Stage.HOOK, Stage.CREDENTIALS})
"""Stages that are left out where no route took the request: there is nobody to protect."""

"""What known services call their cookies and headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SESSION = ("authentik_proxy_*", "_oauth2_proxy*")

PROFILES: Mapping[str, Mapping[str, Any]] = {
    # Its proxy outpost in one of the forward-auth modes.
    "authentik": {
        "session": ["authentik_proxy_*"],
        "claims": {
            "subject": "X-authentik-username",
            "roles": {"header": "X-authentik-groups", "separator": "|"},
            "email": "X-authentik-email",
            "name": "X-authentik-name",
            "uid": "X-authentik-uid",
        },
        "copy": [
            "X-authentik-username",
            "X-authentik-groups",
            "X-authentik-entitlements",
            "X-authentik-email",
            "X-authentik-name",
            "X-authentik-uid",
        ],
    },
    # With --reverse-proxy and --set-xauthrequest.
    "oauth2-proxy": {
        "session": ["_oauth2_proxy*"],
        "claims": {
            "subject": "X-Auth-Request-User",
            "roles": {"header": "X-Auth-Request-Groups", "separator": ","},
            "email": "X-Auth-Request-Email",
            "name": "X-Auth-Request-Preferred-Username",
        },
        "copy": [
            "X-Auth-Request-User",
            "X-Auth-Request-Groups",
            "X-Auth-Request-Email",
            "X-Auth-Request-Preferred-Username",
        ],
    },
}

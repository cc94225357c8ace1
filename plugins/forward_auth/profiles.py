"""What known services call their cookies and headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def written_out(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return options with what their profile stands for; what they say themselves wins."""
    usual = PROFILES.get(str(options.get("profile")))
    if usual is None:
        return options
    given = {name: value for name, value in options.items() if name != "profile"}
    return {**usual, **given}

"""`forward-auth`: an outside service says who calls, such as an Authentik outpost or oauth2-proxy."""

from plugins.forward_auth.plugin import ForwardAuth

__all__ = ["ForwardAuth"]

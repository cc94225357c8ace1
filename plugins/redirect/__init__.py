"""`redirect`: sends clients to another place, without asking the upstream."""

from plugins.redirect.plugin import Redirect

__all__ = ["Redirect"]

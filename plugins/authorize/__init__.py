"""`authorize`: which of the known callers may do what."""

from plugins.authorize.plugin import Authorize

__all__ = ["Authorize"]

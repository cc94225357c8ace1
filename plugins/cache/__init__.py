"""`cache`: answers kept in memory, by RFC 9111."""

from plugins.cache.plugin import Cache

__all__ = ["Cache"]

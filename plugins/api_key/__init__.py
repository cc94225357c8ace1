"""`api-key`: callers that hold a key, of which the file has the digest."""

from plugins.api_key.plugin import ApiKey

__all__ = ["ApiKey"]

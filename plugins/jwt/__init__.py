"""`jwt`: callers with a token of an issuer that the file names."""

from plugins.jwt.plugin import Jwt

__all__ = ["Jwt"]

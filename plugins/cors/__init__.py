"""`cors`: which other sites' pages may call, and read what is answered."""

from plugins.cors.plugin import Cors

__all__ = ["Cors"]

"""`basic`: tools that know a name and a password."""

from plugins.basic.plugin import Basic

__all__ = ["Basic"]

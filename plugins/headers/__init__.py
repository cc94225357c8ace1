"""`headers`: sets, adds and removes headers of the request and of the answer."""

from plugins.headers.plugin import Headers

__all__ = ["Headers"]

"""`compress`: codes answers by gzip, br or zstd, as the client accepts."""

from plugins.compress.plugin import Compress

__all__ = ["Compress"]

"""`access-log`: one line for each exchange, when it is over."""

from plugins.access_log.plugin import AccessLog

__all__ = ["AccessLog"]

"""`ip-filter`: from which addresses the gateway may be called."""

from plugins.ip_filter.plugin import IpFilter

__all__ = ["IpFilter"]

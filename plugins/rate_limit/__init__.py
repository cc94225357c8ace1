"""`rate-limit`: so many requests in a time, by caller, address, route or what a template says."""

from plugins.rate_limit.plugin import RateLimit

__all__ = ["RateLimit"]

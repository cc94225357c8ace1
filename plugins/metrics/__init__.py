"""`metrics`: what Prometheus reads about every exchange and about the gateway itself."""

from plugins.metrics.plugin import Metrics

__all__ = ["Metrics"]

"""The plugin `credentials`."""

from plugins.credentials.plugin import Credentials

__all__ = ["Credentials"]

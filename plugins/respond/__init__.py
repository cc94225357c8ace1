"""`respond`: a fixed answer, such as a maintenance page, made without asking the upstream."""

from plugins.respond.plugin import Respond

__all__ = ["Respond"]

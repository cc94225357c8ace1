"""`webhook`: callers that sign what they send, such as payment providers."""

from plugins.webhook.plugin import Webhook

__all__ = ["Webhook"]

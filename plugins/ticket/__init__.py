"""`ticket`: lets in what can't send a header, once, on the path that it was asked for."""

from plugins.ticket.plugin import Ticket

__all__ = ["Ticket"]

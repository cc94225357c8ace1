"""Access tokens that the gateway gets, renews and writes back (RFC 6749)."""

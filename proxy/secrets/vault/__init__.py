"""The store `vault`: HashiCorp Vault and OpenBao, by their HTTP API, with hvac as the transport."""

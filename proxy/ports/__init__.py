"""The ports: what the gateway asks of a secret store, whoever answers."""

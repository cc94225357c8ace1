"""The language of routes.yaml: `load.load` makes a frozen `models.Config`, or diagnostics."""

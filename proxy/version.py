"""The version of this distribution."""

VERSION = "0.1.0"
"""Kept equal to pyproject.toml by a test; reading the installed metadata costs milliseconds at start."""

"""The operator's pages, reads only."""

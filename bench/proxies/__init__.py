"""One adapter for each proxy: is it here, how is it configured, how is it started."""

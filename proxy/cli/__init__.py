"""The `brain` command: one file a command, heavy imports inside the commands."""

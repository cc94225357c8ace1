"""`python -m proxy` is `brain`."""

from proxy.cli.main import main

main()

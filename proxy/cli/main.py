"""The `brain` command."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False  # as in `proxy`: `typing` is not imported for it
if TYPE_CHECKING:
    import click

COMMANDS = {
    "run": "Serve the routes of FILE…",
    "demo": "Serve the shipped routes.yaml with stand-in services.",
    "check": "Check FILE… offline.",
    "routes": "Print the compiled table of routes.",
    "explain": "Explain what would become of one request, offline.",
    "doctor": "Ask the upstreams directly, and say what would break.",
    "plugin": "Begin a plugin, or list those that are installed.",
    "schema": "Print the language's JSON Schema with the installed plugins in it.",
    "errors": "Print the error codes and what to do about each.",
    "reload": "Make a running gateway load its files again.",
    "status": "Show what a running gateway does.",
    "revisions": "List the revisions that were accepted.",
    "diff": "Compare a kept revision with the files, or with another.",
    "rollback": "Make a running gateway serve a kept revision again.",
    "why": "Tell whose fault it was that a request went as it did.",
    "secrets": "See, refresh and check secrets, or print the policy that they need.",
}


def main() -> None:
    """Run the command that is named; only its own module is imported."""
    # The container's health check runs every few seconds: it must not pay for imports.
    if sys.argv[1:3] == ["status", "--quiet"]:
        from proxy.cli.quiet import quiet

        sys.exit(quiet(sys.argv[3:]))
    _group()()


def _group() -> click.Group:
    from difflib import get_close_matches

    import click

    class Commands(click.Group):
        """Loads a command when it is asked for."""

        def list_commands(self, _context: click.Context) -> list[str]:
            return list(COMMANDS)

        def get_command(self, _context: click.Context, name: str) -> click.Command | None:
            if name not in COMMANDS:
                return None
            command = getattr(import_module(f"proxy.cli.{name}"), name)
            assert isinstance(command, click.Command)
            return command

        def resolve_command(
            self, context: click.Context, arguments: list[str]
        ) -> tuple[str | None, click.Command | None, list[str]]:
            try:
                return super().resolve_command(context, arguments)
            except click.UsageError as error:
                near = get_close_matches(arguments[0], COMMANDS, n=1)
                if not near:
                    raise
                message = f"{error.message} Did you mean '{near[0]}'?"
                raise click.UsageError(message, context) from None

        def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section("Commands"):
                formatter.write_dl(list(COMMANDS.items()))

    from proxy.version import VERSION

    group = Commands("brain", help="Brain Gateway: one door in front of many services.")
    return click.version_option(VERSION, prog_name="brain")(group)


if __name__ == "__main__":
    main()

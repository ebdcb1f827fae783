"""The command `baton`; it needs the extra `cli`."""

import sys

try:
    from baton.cli.commands import run as main
except ModuleNotFoundError as error:
    if error.name != "typer":
        raise

    def main() -> None:
        """Name the extra that is missing; exits with 2."""
        sys.stderr.write(
            "baton: the commands need the extra 'cli': pip install 'baton-workflows[cli]'\n"
        )
        raise SystemExit(2)


__all__ = ["main"]

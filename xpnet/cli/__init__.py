"""The command line, ``xpnet``."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; it exits with 2 where its input can't be used."""
    try:
        from xpnet.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("rich", "typer"):
            raise
        sys.stderr.write(
            "xpnet's command line needs typer and rich: pip install 'xpnet[cli]'\n"
        )
        sys.exit(2)
    app()

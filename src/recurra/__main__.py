"""Entry point of the ``recurra`` command, and of ``python -m recurra``."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; Ctrl-C while it is still being imported is no traceback either."""
    try:
        from recurra.cli import main as run

        run()
    except KeyboardInterrupt:
        from recurra.progress import tell

        tell("\nStopped.")
        sys.exit(130)


if __name__ == "__main__":
    main()

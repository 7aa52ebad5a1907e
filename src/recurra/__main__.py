"""The command line as ``python -m recurra``."""

from recurra.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()

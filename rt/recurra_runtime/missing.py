"""Libraries that need not be there."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["MissingLibraryError", "imported"]


class MissingLibraryError(ImportError):
    """A front needs a library that is not installed; the message says what brings it."""


def imported(name: str, what: str, extra: str) -> Any:
    """A module of a library that need not be there.

    Args:
        name: of the module.
        what: needs it.
        extra: of recurra that brings it.

    Raises:
        MissingLibraryError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as problem:
        raise MissingLibraryError(
            f"{what} the library {name.partition('.')[0]}, which cannot be imported ({problem}); "
            f"pip install 'recurra[{extra}]' brings it"
        ) from None

"""A section of a recipe: settings that are checked together."""

from __future__ import annotations

from typing import Any

import pydantic
from pydantic_core import PydanticCustomError

__all__ = ["Section", "contradiction", "default"]


class Section(pydantic.BaseModel):
    """Unknown names and wrong types are refused, and nothing changes after the check."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


def contradiction(
    settings: pydantic.BaseModel,
    name: str,
    why: str,
    expected: str = "it to be left out",
    section: str = "",
) -> PydanticCustomError:
    """The error of a setting that others leave no room for; a recipe says it of the setting alone.

    Args:
        settings: the section.
        name: of the setting.
        why: what leaves no room for it.
        expected: what could stand there.
        section: where the check is made of several sections, that of the setting with a point.
    """
    told = {"place": section + name, "got": getattr(settings, name), "expected": expected}
    return PydanticCustomError("contradiction", "{why}", told | {"why": why})


def default(settings: pydantic.BaseModel, name: str) -> Any:
    """What a setting is where nobody chose; the recipe of a run has all of them."""
    return type(settings).model_fields[name].get_default(call_default_factory=True)

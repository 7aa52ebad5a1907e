"""An n-gram of a run, written for other toolkits."""

from __future__ import annotations

from pathlib import Path

from recurra.errors import SettingError
from recurra.models import NGram
from recurra.pipeline.text_model import open_text_model

__all__ = ["export_ngram"]


_BESIDE = "5-gram"


def export_ngram(
    path: str | Path, out: str | Path, *, which: str = "best", model: str | None = None
) -> None:
    """Write an n-gram of a run as an ARPA file (:meth:`recurra.models.NGram.to_arpa`).

    Args:
        path: the run, or one of its checkpoints.
        out: the file to write or replace.
        which: of a run, ``"best"`` or ``"last"``.
        model: name of the n-gram; if None, that of a run which is an n-gram, else ``"5-gram"``.

    Raises:
        ArtifactError: the run is damaged.
        SettingError: no n-gram of that name.
        RunError: the file cannot be written.
    """
    opened = open_text_model(path, which=which, model=model)
    if model is None and not isinstance(opened.model, NGram):
        opened = open_text_model(path, which=which, model=_BESIDE)
    if not isinstance(opened.model, NGram):
        raise SettingError(f"export-ngram: {model!r} is no n-gram; name one with --model")
    opened.model.to_arpa(out, opened.vocabulary)

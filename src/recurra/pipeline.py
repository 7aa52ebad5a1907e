"""Raw text in, answer out: what the command line and a user's script call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recurra import artifact
from recurra.decoding import generate
from recurra.errors import ArtifactError, DataError
from recurra.models import LanguageModel
from recurra_runtime.vocabulary import END, START, UNKNOWN

__all__ = ["Writer"]


class Writer:
    """A trained language model that writes text.

    Args:
        path: a run, or an artifact.
        which: of a run, ``"best"`` or ``"last"``.

    Raises:
        ArtifactError: it cannot be loaded, or is no language model.
    """

    def __init__(self, path: str | Path, *, which: str = "best") -> None:
        loaded = artifact.load(path, which=which)
        if not isinstance(loaded.model, LanguageModel):
            raise ArtifactError(f"{loaded.path}: expected a language model, got {loaded.kind}.")
        self.model = loaded.model
        self.vocabulary = loaded.vocabularies["text"]

    def write(
        self,
        prompt: str = "",
        *,
        limit: int = 500,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Go on from a prompt, piece by piece as it is drawn; arguments as in ``generate``.

        Raises:
            DataError: the prompt has a character that the model has never seen.
            SettingError: a temperature, top_k or limit out of range.
        """
        ids = self.vocabulary.encode(prompt)
        strange = sorted({c for c, i in zip(prompt, ids, strict=False) if i == UNKNOWN})
        if strange:
            raise DataError(
                f"prompt: the model has never seen {', '.join(map(repr, strange))}. "
                "Leave them out, or train with --set data.vocabulary=bytes."
            )
        drawn = generate(
            self.model,
            [START, *ids.tolist()],
            end=END,
            never=[UNKNOWN, START],
            limit=limit,
            temperature=temperature,
            top_k=top_k,
            seed=seed,
        )
        return map(self.vocabulary.writer(), drawn)

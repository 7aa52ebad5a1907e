"""The classifier: an example in, one label for all of it, or several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self, cast

import pydantic
import torch
from torch import Tensor

from recurra.batch import Batch
from recurra.errors import ShapeError
from recurra.heads import LabelHead
from recurra.layers import Pooled
from recurra.models.base import Model
from recurra.models.reading import ReadingSettings, Reads, build_encoder
from recurra.sections import contradiction
from recurra.sequences import PaddedSequence
from recurra.states import Tree
from recurra.twins import evaluating

__all__ = ["Classifier", "ClassifierConfig", "ClassifierSettings", "Heard"]


class ClassifierSettings(ReadingSettings):
    """What a person chooses about a classifier, beside how it reads.

    Args:
        hops: how often an attention that pools looks at what was read, each time with what it has
            found before in mind, see :class:`recurra.Pooling`.
        balanced: whether all classes count alike in training, however many examples of each there
            are; see :meth:`recurra.LabelHead.weigh`.
        calibrate: whether probabilities are fitted to the validation part by one number (Guo et
            al. 2017); which class is named does not hang on it.
    """

    cell: str = "gru"
    layers: int = pydantic.Field(1, ge=1, le=1000)
    hidden_size: int = pydantic.Field(64, ge=1, le=10**6)
    bidirectional: bool = True
    hops: int = pydantic.Field(1, ge=1, le=100)
    balanced: bool = False
    calibrate: bool = False

    @pydantic.model_validator(mode="after")
    def _hops_agree(self) -> Self:
        if self.hops > 1 and self.pool != "attention":
            why = f"pool={self.pool!r} looks at nothing"
            raise contradiction(self, "hops", why, "model.pool='attention'")
        return self

    def unread(self, reads: Mapping[str, Reads]) -> Iterator[tuple[str, str]]:
        """Also hops, where inputs are pooled each by itself."""
        yield from super().unread(reads)
        if len(reads) > 1 and self.fuse == "late":
            yield "hops", "inputs are pooled each by itself"


class ClassifierConfig(ClassifierSettings):
    """All that decides the shape of a classifier.

    Args:
        reads: what each input is, by name.
        classes: number of labels.
        several: whether an example may have any number of them.
    """

    reads: dict[str, Reads]
    classes: int = pydantic.Field(ge=1, le=10**9)
    several: bool = False

    @pydantic.model_validator(mode="before")
    @classmethod
    def _of_text(cls, given: Any) -> Any:
        """Of text alone the number of symbols says it all."""
        if isinstance(given, dict) and "vocabulary_size" in given and "reads" not in given:
            given = dict(given)
            sizes = [given.pop("vocabulary_size")]
            given["reads"] = {"text": {"form": "tokens", "sizes": sizes}}
        return given


class Heard(NamedTuple):
    """What a classifier carries from one part of a stream to the next.

    Args:
        layers: the state of its layers.
        pooled: what was pooled so far.
    """

    layers: Tree
    pooled: Pooled


class Classifier(Model):
    r"""A recurrent classifier of sequences.

    .. math:: p(k \mid x_1 \dots x_n) = \mathrm{softmax}(W\,\mathrm{pool}(y_1 \dots y_n) + b)_k

    y are the outputs of the layers, which by default read from both ends.

    Args:
        config: sizes and settings.

    Raises:
        SettingError: an unknown cell, a setting it does not take, or sizes that do not join.
    """

    config: ClassifierConfig

    def __init__(self, config: ClassifierConfig) -> None:
        encoder = build_encoder(config, config.reads)
        late = len(config.reads) > 1 and config.fuse == "late"
        head = LabelHead(
            encoder.output_size,
            config.classes,
            "last" if late else config.pool,  # such inputs were pooled each by itself
            hops=1 if late else config.hops,
            dropout=config.rate("output"),
            several=config.several,
            weighted=config.balanced,
            calibrated=config.calibrate,
        )
        super().__init__(encoder, head)
        self.config = config

    @property
    def name(self) -> str:
        """What reads, see :meth:`recurra.models.ReadingSettings.reader`."""
        return self.config.reader(self.config.reads)

    @property
    def label_head(self) -> LabelHead:
        """What names the labels."""
        return cast(LabelHead, self.head)

    def starts_at(self, counts: Sequence[int] | Tensor, rows: int | None = None) -> None:
        """Begin with what the classes' frequencies alone say.

        Args:
            counts: how often each class occurs in what is trained on.
            rows: in how many examples.
        """
        self.label_head.starts_at(counts, rows)
        self.label_head.weigh(counts, rows)

    @torch.no_grad()
    def listen(self, inputs: Any, heard: Heard | None = None) -> tuple[Any, Heard]:
        """What it says after every step, as if the rows ended there: of a causal one.

        In evaluation mode and without gradients. Whole = parts = steps.

        Args:
            inputs: as of :class:`recurra.Batch`, a part of a stream.
            heard: what an earlier call returned, of the part before.

        Returns:
            scores ``[time, batch, classes]`` (a PaddedSequence if the inputs are one; softmax of
            them gives probabilities), and what to go on from.

        Raises:
            ShapeError: it reads both ways, so that it can only say something of whole rows.
        """
        if not self.encoder.causal:
            raise ShapeError(
                "listen: this model reads both ways, or several steps at once, or all steps beside "
                "each other, so it says something of whole examples alone. Train one with "
                "model.bidirectional=false, without model.stride and model.sentences, and no "
                "Transformer."
            )
        with evaluating(self):
            batch = Batch(inputs, None).to(next(self.parameters()).device)
            layers = None if heard is None else heard.layers
            read = self.encoder(batch.inputs, layers)
            scores, pooled = self.label_head.running(read, None if heard is None else heard.pooled)
        if isinstance(read.outputs, PaddedSequence):
            return PaddedSequence(scores, read.outputs.lengths), Heard(read.state, pooled)
        return scores, Heard(read.state, pooled)

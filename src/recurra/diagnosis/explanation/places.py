"""Where numbers enter a model: numbers that are read as they are, and vectors of symbols."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recurra.diagnosis.checked import check_finite
from recurra.diagnosis.explanation.answering import Numbers
from recurra.diagnosis.subject import Subject
from recurra.encoders import SpelledEmbedding
from recurra.errors import SettingError, ShapeError, kind_of, nearest
from recurra.layers import TokenEmbedding
from recurra.lengths import mask_padding, spread, valid_mask
from recurra.sequences import PaddedSequence
from recurra.twins import hooked

__all__ = ["Entrance", "Place"]

_VECTORS = (nn.Embedding, TokenEmbedding, SpelledEmbedding)


class Place:
    """Numbers that enter a model at every step.

    Args:
        name: where that is.
        found: the numbers of all rows ``[time, batch, ...]``, a PaddedSequence perhaps.
        lengths: of the rows, if they are not told by ``found``.
        key: number of the leaf of the inputs; or the module that gives them, and which of its
            calls that is.
        axis: which axis counts rows.
    """

    def __init__(
        self, name: str, found: Any, lengths: Tensor | None, key: int | tuple[nn.Module, int],
        axis: int,
    ) -> None:  # fmt: skip
        self.name, self.key, self.axis = name, key, axis
        self.padded = isinstance(found, PaddedSequence)
        values = found.values if self.padded else found if axis else found.transpose(0, 1)
        lengths = found.lengths if self.padded else lengths
        if lengths is None:
            lengths = torch.full(values.shape[1:2], len(values), device=values.device)
        self.lengths = lengths
        # Padding may hold anything; what is missing inside a row stays missing on every way.
        self.values: Tensor = mask_padding(values.detach(), lengths)
        self.missing = self.values.isnan()

    @property
    def time(self) -> int:
        """Number of steps, padding included."""
        return len(self.values)

    @property
    def mask(self) -> Tensor:
        """``[time, batch]``, True where a step belongs to its row."""
        return valid_mask(self.lengths, self.time)

    def as_read(self, points: Tensor, rows: Tensor) -> Any:
        """Numbers ``[time, rows, ...]`` as the model reads them."""
        if self.padded:
            return PaddedSequence(points, self.lengths[rows])
        return points if self.axis else points.transpose(0, 1)

    def baseline(self, given: Any) -> Tensor:
        """What stands for nothing ``[time, batch, ...]``; 0 in padding, NaN where one is missing.

        Args:
            given: a number, a tensor that spreads over the values, or ``"mean"`` of each row.

        Raises:
            ShapeError: it does not spread.
            SettingError: another word.
        """
        if isinstance(given, str):
            if given != "mean":
                raise SettingError(f"baseline: expected numbers or 'mean', got {given!r}")
            there = spread(self.mask, self.values) & ~self.missing
            total = torch.where(there, self.values, 0.0).sum(0)
            given = total / there.sum(0).clamp(min=1)
        try:
            wide = torch.as_tensor(given, dtype=self.values.dtype, device=self.values.device)
            wide = wide.expand(self.values.shape)
        except (RuntimeError, TypeError, ValueError):
            got = list(given.shape) if isinstance(given, Tensor) else kind_of(given)
            raise ShapeError(
                f"baseline: of {self.name!r} expected a number, or a tensor that spreads over "
                f"{list(self.values.shape)} (time, batch, and so on), got {got}"
            ) from None
        wide = mask_padding(wide, self.lengths)
        check_finite(f"baseline: of {self.name!r}", wide.masked_fill(self.missing, 0.0))
        return wide.masked_fill(self.missing, torch.nan)


class Entrance:
    """All places where numbers enter, and what is said of other numbers there.

    Numbers that are read as they are, and of symbols the vectors that embeddings make of them.

    Args:
        asked: a model and a batch.
        scores: what is explained.
        at: names of modules whose outputs are the places instead.

    Raises:
        SettingError: no place, or no such module.
        ShapeError: one that is no steps of the batch's rows.
    """

    def __init__(self, asked: Subject, scores: Numbers, at: Sequence[str] | None = None) -> None:
        self.asked, self._scores = asked, scores
        self.modules = _modules(asked, at)
        self.places = [] if at else list(_numbers(asked))
        self.places += self._vectors()
        if not self.places:
            raise SettingError(
                "attribute: nothing to attribute to: the inputs have no numbers with time, and no "
                "embedding was called; at= names modules whose outputs are meant, such as "
                "at=['encoder.embedding']."
            )

    def _vectors(self) -> Iterator[Place]:
        found: list[tuple[nn.Module, Any]] = []

        def keep(module: nn.Module, inputs: Any, result: Any) -> None:
            found.append((module, result))

        with torch.no_grad(), hooked(self.modules, keep):
            self._scores(self.asked.every, None)
        times: dict[nn.Module, int] = {}
        for module, result in found:
            call = times[module] = times.get(module, -1) + 1
            name = self.modules[module] + (f" ({call + 1})" if call else "")
            result, axis = _checked(name, result, self.asked)
            lengths = None if isinstance(result, PaddedSequence) else self.asked.lengths
            yield Place(name, result, lengths, (module, call), axis)

    def scores(self, points: Sequence[Tensor], rows: Tensor) -> Tensor:
        """The number that is explained, of rows whose numbers are others ``[rows]``.

        Args:
            points: of each place ``[time, rows, ...]``.
            rows: whose rest is read beside them.
        """
        leaves: dict[int, Any] = {}
        calls: dict[tuple[nn.Module, int], Any] = {}
        for place, values in zip(self.places, points, strict=True):
            read = place.as_read(values, rows)
            if isinstance(place.key, int):
                leaves[place.key] = read
            else:
                calls[place.key] = read
        times: dict[nn.Module, int] = {}

        def replace(module: nn.Module, inputs: Any, result: Any) -> Any:
            call = times[module] = times.get(module, -1) + 1
            return calls.get((module, call))

        with hooked(self.modules if calls else {}, replace):
            return self._scores(rows, leaves)

    def gradients(self, points: Sequence[Tensor], rows: Tensor) -> list[Tensor]:
        """Of the number that is explained, by the numbers of each place; 0 in the padding.

        Args:
            points: as of :meth:`scores`, like the other.
            rows: as of :meth:`scores`.
        """
        with torch.inference_mode(False), torch.enable_grad():
            leaves = [values.detach().clone().requires_grad_() for values in points]
            said = self.scores(leaves, rows)
            if not said.requires_grad:
                return [torch.zeros_like(values) for values in points]
            found = torch.autograd.grad(said.sum(), leaves, allow_unused=True)
        lengths = [place.lengths[rows] for place in self.places]
        return [
            torch.zeros_like(leaf) if one is None else mask_padding(one, each)
            for leaf, one, each in zip(leaves, found, lengths, strict=True)
        ]


def _numbers(asked: Subject) -> Iterator[Place]:
    for number, leaf in enumerate(asked.leaves):
        value = leaf.value.values if isinstance(leaf.value, PaddedSequence) else leaf.value
        later = leaf.name in getattr(asked.batch.inputs, "later", ())
        if not isinstance(value, Tensor) or not value.is_floating_point() or later:
            continue
        if value.dim() >= 2 and 0 not in value.shape[2:]:
            axis = 1 if isinstance(leaf.value, PaddedSequence) else asked.axis
            yield Place(leaf.name, leaf.value, asked.lengths, number, axis)


def _modules(asked: Subject, at: Sequence[str] | None) -> dict[nn.Module, str]:
    """What makes vectors of what is read, with names; those inside another one left out."""
    if asked.module is None:
        return {}
    known = dict(asked.module.named_modules())
    if at is not None:
        for name in at:
            if name not in known:
                raise SettingError(f"at: no {name!r}; {nearest(name, [n for n in known if n])}")
        return {known[name]: name for name in at}
    if asked.model is not None:  # a head's own vectors are of what is said
        known = {f"encoder.{n}": m for n, m in asked.model.encoder.named_modules()}
    names = [name for name, module in known.items() if isinstance(module, _VECTORS)]
    outer = [n for n in names if not any(n.startswith(f"{other}.") for other in names)]
    return {known[name]: name for name in outer}


def _checked(name: str, result: Any, asked: Subject) -> tuple[Any, int]:
    """What a module gave, where it is steps of the batch's rows."""
    values = result.values if isinstance(result, PaddedSequence) else result
    axis = 1 if isinstance(result, PaddedSequence) else asked.axis
    shape = list(values.shape) if isinstance(values, Tensor) else []
    if len(shape) < 3 or shape[axis] != asked.rows:
        wanted = "[time, batch, ...]" if axis else "[batch, time, ...]"
        got = shape or kind_of(result)
        raise ShapeError(
            f"{name}: expected numbers {wanted} of {asked.rows} rows, got {got}. at= names a "
            "module whose output has steps; batch_first=True says that rows come first."
        )
    return result, axis

"""What training, artifacts and commands ask of encoder-decoders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recurra import models
from recurra.batch import Batch
from recurra.columns import shown
from recurra.data.examples import Examples as RawExamples
from recurra.data.examples import Reading, open_examples
from recurra.data.examples.parallel import open_parallel, parallel_files, what_to_say
from recurra.errors import DataError, SettingError, kind_of
from recurra.models import EncoderDecoder, EncoderDecoderConfig, EncoderDecoderSettings, Reads
from recurra.states import leaves, map_tree
from recurra.tasks.base import Metric, Table, register_task, symbols_of
from recurra.tasks.division import Pair
from recurra.tasks.encoding import encode_inputs
from recurra.tasks.examples import Examples
from recurra.tasks.inputs import check_restored, fit_inputs, kind_of_front, reads_of
from recurra.tasks.reading import ReadingTask, changed_examples, grouped
from recurra.tasks.rivals import RivalsTask
from recurra.tasks.sums import Sums, ratio
from recurra.tasks.texts import vocabulary_of, vocabulary_settings
from recurra.tasks.transduction.answer import TARGET, TransducingModel, searched
from recurra.tasks.transduction.evaluation import (
    Evaluation,
    bleu_sums,
    exact,
    exact_each,
    likeness,
    rouge_each,
    rouge_l,
)
from recurra.tasks.transduction.gleu import gleu, gleu_counts, gleu_of
from recurra.tasks.transduction.rivals import KINDS, fit_rivals
from recurra.tasks.transduction.settings import TransductionData
from recurra.tasks.unread import SYMBOLS, unread_data
from recurra_runtime.vocabulary import END

__all__ = ["TransductionTask"]

_DECODED, _LIMIT = 2000, 200  # answers that are held against others; symbols of one
_CORRECTED = 0.5  # likeness from which what should be said is a correction of what is read


@register_task("transduction")
class TransductionTask(ReadingTask, RivalsTask):
    """A text with steps of its own for what is read: a translation, a summary, a caption."""

    Data = TransductionData
    Model = EncoderDecoderSettings
    kinds_of_rivals = KINDS
    target_front = TARGET
    target_kind = "sequence"
    metric = Metric("nats", "nats/symbol")
    unit = "symbols"

    # ---- data ------------------------------------------------------------------------------------

    def open(self, source: Any, data: TransductionData) -> RawExamples:
        """Texts with what is said of each: of a table, of files side by side, of Python."""
        if isinstance(source, RawExamples):
            return source
        how = data.reading()
        folder = Path(source) if isinstance(source, str | Path) else None
        if folder is not None and parallel_files(folder, how):
            found = open_parallel(folder, how)
        else:
            found = _opened(source, how, folder)
        return changed_examples(found, lambda each: grouped(each, data))

    def worded(self, numbers: Sequence[int], fronts: Mapping[str, Any]) -> list[str]:
        """Symbols that are said; an end is empty."""
        return symbols_of(numbers, fronts[TARGET])

    def checked(self, pair: Pair) -> Pair:
        """Whose target is a text."""
        if not isinstance(pair.target, str):
            raise DataError(
                f"{pair.place}: expected a text that is to be said, got {kind_of(pair.target)}."
            )
        return pair

    def fit_by(
        self,
        source: Any,
        data: TransductionData,
        inputs: Sequence[Any],
        targets: Sequence[Any],
    ) -> dict[str, Any]:
        """What reads the inputs, and the vocabulary of what is said."""
        kinds = dict(getattr(source, "kinds", {}))
        if {*kinds.values()} <= {"text"} and len(kinds) == 1 and data.joint:
            both = vocabulary_of([*inputs, *targets], data)
            return {next(iter(kinds)): both, TARGET: both}
        fronts = fit_inputs(kinds, inputs, data, getattr(source, "channels", ()))
        return {**fronts, TARGET: vocabulary_of(targets, data)}

    def encode(self, example: Any, fronts: Mapping[str, Any]) -> Any:
        """What is read in numbers."""
        return self.encode_pair(Pair(example, None, "data", None), fronts, self.Data())

    def encode_pair(self, pair: Pair, fronts: Mapping[str, Any], data: TransductionData) -> Any:
        """As :meth:`encode`; texts are cut to their length, errors begin with the place."""
        return encode_inputs(self.read_fronts(fronts), pair.example, pair.place, data)[0]

    def target(self, target: str, fronts: Mapping[str, Any]) -> Any:
        """Symbols that are said, and the end."""
        return np.append(fronts[TARGET].encode(target), END).astype(np.int64)

    def collate(self, inputs: Sequence[Any], targets: Sequence[Any] | None = None) -> Batch:
        """Examples beside each other; ids, which are kept small, in full."""
        return super().collate([map_tree(_wide, row) for row in inputs], targets)

    def prepare(
        self,
        source: Any,
        data: TransductionData,
        folder: Path,
        report: Callable[[str], None],
    ) -> Examples:
        """Divide, fit, encode; of what is too long see :class:`TransductionData`."""
        return self._short(super().prepare(source, data, folder, report), data, report)

    def prepare_in(
        self,
        source: Any,
        fronts: Mapping[str, Any],
        data: TransductionData,
        folder: Path,
        report: Callable[[str], None],
    ) -> Examples:
        """Divide and encode, as :meth:`prepare`."""
        return self._short(super().prepare_in(source, fronts, data, folder, report), data, report)

    def _short(
        self, prepared: Examples, data: TransductionData, report: Callable[[str], None]
    ) -> Examples:
        """No longer answers are trained on."""
        part, most = prepared.parts["training"], data.maximum_target
        kept = [n for n, row in enumerate(part.targets) if len(row) <= most + 1]
        if not kept:
            raise DataError(
                f"data: expected answers of at most {most} symbols to train on, all are longer. "
                "Say data.maximum_target."
            )
        left = len(part.targets) - len(kept)
        if not left:
            return prepared
        report(f"longer than {most} symbols, and not trained on: {left:,}")
        training = self.Part(
            [part.inputs[n] for n in kept],
            [part.targets[n] for n in kept],
            kind=self.target_kind,
            collate=self.collate,
            places=[part.raw[n].place for n in kept],
            raw=[part.raw[n] for n in kept],
            fronts=part.fronts,
        )
        return dataclasses.replace(prepared, parts={**prepared.parts, "training": training})

    # ---- model -----------------------------------------------------------------------------------

    def build(self, settings: Any, fronts: Mapping[str, Any]) -> EncoderDecoder:
        """A model of what these fronts give, and of so many symbols."""
        reads = reads_of(self.read_fronts(fronts))
        known = settings.model_dump()
        return EncoderDecoder(
            EncoderDecoderConfig(**known, reads=reads, symbols=len(fronts[TARGET]))
        )

    def restore(self, config: Any, fronts: Mapping[str, Any]) -> EncoderDecoder:
        """The model of a configuration that tells its sizes itself."""
        known = EncoderDecoderConfig.model_validate(config)
        check_restored(known.reads, TARGET, known.symbols, fronts)
        return EncoderDecoder(known)

    def unread(self, recipe: Any, prepared: Examples) -> list[tuple[str, str]]:
        """What the kinds of the inputs leave unread."""
        fronts = self.read_fronts(prepared.fronts)
        kinds = [kind_of_front(front) for front in fronts.values()]
        found = list(unread_data(recipe.data, kinds, said=SYMBOLS))
        if kinds != ["text"]:
            found.append(("data.joint", "what is read is no text alone"))
        model = recipe.model.unread(reads_of(fronts))
        return [*found, *((f"model.{name}", why) for name, why in model)]

    def settled(self, loaded: Any) -> dict[str, Any]:
        """Also how texts fall into symbols."""
        return super().settled(loaded) | vocabulary_settings(loaded.fronts[TARGET], self.Data)

    def trial(self, recipe: Any) -> EncoderDecoder:
        """A model of four symbols."""
        settings, reads = recipe.model.model_dump(), Reads(form="tokens", sizes=[4], ends=[3])
        return EncoderDecoder(EncoderDecoderConfig(**settings, reads={"text": reads}, symbols=4))

    def begin(self, model: models.Model, prepared: Examples) -> None:
        """Each symbol as likely as it is among those that are trained on."""
        assert isinstance(model, EncoderDecoder)
        said = np.concatenate(prepared.parts["training"].targets)
        counts = np.bincount(said, minlength=len(prepared.fronts[TARGET]))
        model.starts_at(torch.from_numpy(counts))

    def check_data(self, model: models.Model, prepared: Examples) -> None:
        """An attention that is aware of where it has looked has so many places and no more.

        Raises:
            SettingError: something is longer, of any part.
        """
        assert isinstance(model, EncoderDecoder)
        if model.config.aware is None:
            return
        found = [
            (model.places(part.batch([number]).inputs), part.raw[number].place, name)
            for name, part in prepared.parts.items()
            for number in _longest(part.inputs, model.config)
        ]
        most, place, name = max(found, key=lambda one: one[0])
        if most > model.config.places:
            raise SettingError(
                f"model.places: expected at least {most:,}, as {place} ({name}) is read in so many "
                f"places, got {model.config.places:,}. Say model.places={most}, cut texts by "
                "data.maximum_length, or leave model.aware out."
            )

    # ---- scores ----------------------------------------------------------------------------------

    def by_example(self, model: models.Model, part: Any) -> dict[str, Any]:
        """Nats of what should be said of each example; likeness of whole answers to some."""
        assert isinstance(model, EncoderDecoder)
        nats = np.zeros((len(part.inputs), 2))
        nats[:, 1] = [len(row) for row in part.targets]
        for numbers in part.order(None):
            nats[numbers, 0] = model.score_rows(part.batch(numbers)).numpy()
        some = _some(part)
        said, wanted = self.said(model, part, some), [part.raw[n].target for n in some]
        found = {self.loss.name: Sums(nats, ratio), "BLEU": bleu_sums(said, wanted)}
        if (read := _corrected(part, some, wanted)) is not None:
            counts = gleu_counts(read, wanted, said)
            found["GLEU"] = Sums(counts, lambda sums: 100 * gleu_of(sums), less=False)
        for name, each in (("ROUGE-L", rouge_each), ("exact", exact_each)):
            values = np.stack([each(said, wanted), np.ones(len(some))], 1)
            found[name] = Sums(values, ratio, less=False)
        return {name: sums for name, sums in found.items() if sums is not None}

    def evaluate(  # type: ignore[override]  # rows of its own
        self, compared: Mapping[str, Any], part: Any
    ) -> list[Evaluation]:
        """Nats of all, and whole answers to some, each symbol the most probable one."""
        some = _some(part)
        wanted = [part.raw[n].target for n in some]
        read = _corrected(part, some, wanted)
        rows = []
        for name, model in compared.items():
            loss, count = None, part.count
            if isinstance(model, EncoderDecoder):
                total, count = model.score(part.groups())
                loss = total / max(count, 1)
                said = self.said(model, part, some)
            else:
                said = model.say([part.raw[n].example for n in some])
            bleu, chrf, signature = likeness(said, wanted)
            right, alike = exact(said, wanted), rouge_l(said, wanted)
            better = None if read is None else gleu(read, [[one] for one in wanted], said)
            rows.append(
                Evaluation(
                    name, loss, count, len(said), right, alike, bleu, chrf, signature, better
                )
            )
        return rows

    def said(self, model: EncoderDecoder, part: Any, numbers: Sequence[int]) -> list[str]:
        """The answer to some examples of a part.

        Args:
            model: says them.
            part: of the data.
            numbers: of the examples.
        """
        rows = [part.inputs[n] for n in numbers]
        found = searched(model, self.collate, rows, width=1, keep=1, limit=_LIMIT)
        return [part.fronts[TARGET].decode(list(best[0].symbols)) for best in found]

    def table(self, rows: Sequence[Any], title: str) -> Table:
        """Likeness of whole answers, and nats."""
        first: Evaluation = rows[0]
        with_bleu, with_gleu = first.bleu is not None, first.gleu is not None
        notes = [f"Answers to {first.decoded:,} examples were held against what should be said."]
        if with_bleu:
            notes.append(f"BLEU: {first.signature}.")
        else:
            notes.append("BLEU and chrF need sacrebleu: pip install 'recurra[transduction]'.")
        return Table(
            f"{title}: {first.count:,} {self.unit}",
            (
                "model",
                *(["GLEU"] if with_gleu else []),
                *(["BLEU", "chrF"] if with_bleu else []),
                *("ROUGE-L", "exact", "nats/symbol"),
            ),
            [
                (
                    row.name,
                    *([f"{100 * row.gleu:.2f}"] if row.gleu is not None else []),
                    *([shown(row.bleu, 2), shown(row.chrf, 2)] if with_bleu else []),
                    f"{row.rouge:.4f}",
                    f"{row.exact:.4f}",
                    shown(row.loss, 4),
                )
                for row in rows
            ],
            notes,
        )

    def beaten(self, rows: Sequence[Evaluation]) -> str:
        """Who says what is more like what should be said."""
        best = max(rows[1:], key=lambda row: row.rouge, default=None)
        if best is None or best.rouge <= rows[0].rouge:
            return ""
        return f"{best.name} says what is more like it"

    # ---- rivals and answers ----------------------------------------------------------------------

    def rivals(
        self, prepared: Examples, recipe: Any, report: Callable[[str], None]
    ) -> dict[str, Any]:
        """See :mod:`recurra.tasks.transduction.rivals`."""
        raw = prepared.parts["training"].raw
        return fit_rivals([(pair.example, pair.target) for pair in raw])

    def answer(self, loaded: Any) -> TransducingModel:
        """What is said of an input."""
        return TransducingModel(loaded.model, loaded.fronts, loaded.path, self)


def _opened(source: Any, how: Reading, folder: Path | None) -> RawExamples:
    """Examples; of files side by side that nobody named it is said how to name them."""
    try:
        return open_examples(source, how)
    except DataError:
        if folder is not None and (told := what_to_say(folder)):
            raise DataError(told) from None
        raise


def _longest(rows: Sequence[Any], config: EncoderDecoderConfig) -> set[int]:
    """Numbers of the rows among which that with the most places is: of each input the longest."""
    found = set()
    for at, reads in enumerate(config.reads[name] for name in sorted(config.reads)):
        own = [leaves(row)[at] for row in rows]
        found.add(int(np.argmax([len(one) for one in own])))
        if config.sentences and reads.form == "tokens":
            ends = [np.isin(row, reads.ends) for row in own]
            counts = [int(last.sum()) + (not last[-1:].all()) for last in ends]  # and the rest
            found.add(int(np.argmax(counts)))
    return found


def _some(part: Any) -> range:
    """Numbers of the examples whose answers are searched."""
    return range(0, len(part.inputs), max(1, -(-len(part.inputs) // _DECODED)))


def _corrected(part: Any, some: Sequence[int], wanted: Sequence[str]) -> list[str] | None:
    """Texts that are read, where most of their words should be said again; else None."""
    read = [part.raw[n].example for n in some]
    if not all(isinstance(text, str) for text in read) or rouge_l(read, wanted) < _CORRECTED:
        return None
    return read


def _wide(array: Any) -> Any:
    return array.astype(np.int64) if array.ndim == 1 and array.dtype.kind == "u" else array

"""What is read, by its kind: its settings, how its front is fitted, what a model reads of it.

A kind of input is a name in a table below; what reads a file of that kind is in ``recurra.data``,
what makes an array of it in ``recurra_runtime``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

import numpy as np
import pydantic

from recurra.data import Unit
from recurra.data.examples import Kind, Reading
from recurra.errors import DataError, SettingError
from recurra.models import Reads
from recurra.sections import contradiction, default
from recurra.tasks.texts import TextSection, check_vocabulary, vocabulary_of
from recurra_runtime.fronts import Framed, Picture, Series, Sound
from recurra_runtime.vocabulary import UNKNOWN, MissingLibraryError

__all__ = [
    "InputSection",
    "check_fronts",
    "check_restored",
    "fit_inputs",
    "grayed_of",
    "heard",
    "is_text",
    "joined_words",
    "kind_of_front",
    "named_input",
    "reads_of",
    "told_at",
]


class InputSection(TextSection):
    """What is read of texts, series, sounds and pictures, and how it becomes numbers.

    How files are read is said in full by :class:`recurra.data.examples.Reading`.

    Args:
        input: what an example is, ``"text"``, ``"series"``, ``"sound"``, ``"picture"`` or
            ``"video"``; ``"auto"`` tells it by the endings of files.
        inputs: of several inputs, the column of each by its name.
        label: the column with the label.
        label_from: where labels stand that no column says: ``"folder"``, ``"name"``, or a regular
            expression with a group ``label``.
        labels: a table beside the files, with a row for each.
        group: the column with what may be left out together, such as a speaker.
        test_group: the group that is held out; no tenth is then.
        split: ``"hash"`` tests and chooses on tenths of the examples, by what they hold;
            ``"given"`` on what is said to be a part: in the column ``split_column``, or by names
            of files and folders (train, validation, valid, dev, test).
        split_column: the column with the part.
        id: of a long table of series, the column that says to which a row belongs.
        time: of series, the column with time stamps, which must ascend.
        channels: of series, the columns that are read; all others if None.
        axes: of arrays in Python, which axis is first, ``"time"`` or ``"channels"``.
        header: of tables of series, whether the first row has names; told by itself if None.
        unit: of text, whether each ``"file"`` is an example or each ``"line"``; if None, files in a
            folder for each class are whole, and a file for each class falls into lines.
        on_error: whether an example that cannot be read ends the reading (``"stop"``) or is left
            out and counted (``"skip"``).
        maximum_length: longest text in symbols; longer ones are truncated.
        truncate: on which side, ``"right"`` or ``"left"``.
        missing: of series, whether a mark beside each channel says where a value is missing.
        rate: of sounds, samples a second; that of the first if None.
        resample: whether a recording of another rate is brought to this one; else it is refused.
        features: of sounds, ``"log-mel"`` or ``"mfcc"``.
        bins: of the mel scale.
        coefficients: of mfcc, how many.
        frame: of sounds, length of a frame in ms.
        shift: from frame to frame in ms.
        deltas: of sounds, how many times the slope is set beside the features, 0 to 2; of videos,
            how many times the difference from the frame before beside the pixels.
        normalization: of sounds, by mean and deviation of the training part (``"global"``), or of
            each ``"recording"``, which cannot be done while it comes.
        picture_size: height and width to which pictures are brought; those of the first if None.
        picture_mode: ``"L"`` (shades of gray) or ``"RGB"``.
    """

    pattern: str | None = None  # type: ignore[assignment]  # those with known endings
    input: Literal["auto", "text", "series", "sound", "picture", "video"] = "auto"
    inputs: dict[str, str] = pydantic.Field(default_factory=dict)
    label: str = "label"
    label_from: str | None = None
    labels: str | None = None
    group: str | None = None
    test_group: str | None = None
    split: Literal["hash", "given"] = "hash"
    split_column: str = "split"
    id: str | None = None
    time: str | None = None
    channels: list[str] | None = None
    axes: Literal["time", "channels"] = "time"
    header: bool | None = None
    unit: Unit | None = None
    on_error: Literal["stop", "skip"] = "stop"
    maximum_length: int | None = pydantic.Field(None, ge=1)
    truncate: Literal["left", "right"] = "right"
    missing: bool = False
    rate: int | None = pydantic.Field(None, ge=100)
    resample: bool = False
    features: Literal["log-mel", "mfcc"] = "log-mel"
    bins: int = pydantic.Field(40, ge=3, le=1000)
    coefficients: int = pydantic.Field(13, ge=1, le=1000)
    frame: float = pydantic.Field(25.0, gt=0, allow_inf_nan=False)
    shift: float = pydantic.Field(10.0, gt=0, allow_inf_nan=False)
    deltas: int = pydantic.Field(0, ge=0, le=2)
    normalization: Literal["global", "recording"] = "global"
    picture_size: list[int] | None = pydantic.Field(None, min_length=2, max_length=2)
    picture_mode: Literal["L", "RGB"] = "L"

    @property
    def undivided(self) -> Self:
        """Without names of parts, which a part alone has not."""
        return self.model_copy(update={"split": default(self, "split"), "test_group": None})

    def picture_front(self, first: Sequence[int], video: bool) -> Picture:
        """An unfitted front of pictures, of which the first has this size."""
        deltas = self.deltas if video else 0
        return Picture(self.picture_size or first, self.picture_mode, video=video, deltas=deltas)

    @pydantic.model_validator(mode="after")
    def _inputs_agree(self) -> Self:
        """Settings that contradict each other are refused, not ignored."""
        if self.label == (self.column or "text"):
            raise contradiction(self, "label", "that column is the text", "another column")
        if self.maximum_length is None and self.truncate != default(self, "truncate"):
            raise contradiction(self, "truncate", "there is no maximum_length to truncate to")
        return self

    def reading(self, **more: Any) -> Reading:
        """How files are read."""
        names = [each.name for each in dataclasses.fields(Reading)]
        known = {name: getattr(self, name) for name in names if hasattr(self, name)}
        if self.resample:
            known["rate"] = None  # recordings of any
        if self.channels is not None:
            known["channels"] = tuple(self.channels)
        return Reading(**known | {"nul": self.vocabulary == "bytes"} | more)


# ---- fitting -------------------------------------------------------------------------------------


def fit_inputs(
    kinds: Mapping[str, str],
    examples: Sequence[Any],
    data: InputSection,
    channels: Sequence[str] = (),
) -> dict[str, Any]:
    """A front for each input, fitted on the training part.

    Args:
        kinds: of the inputs by name.
        examples: what is read of each example that is trained on: of one input itself, of several
            a mapping.
        data: how.
        channels: names of a series' channels, where they are known.

    Raises:
        DataError: nothing to fit on, or a value that cannot be read.
    """
    fronts = {}
    for name, kind in sorted(kinds.items()):  # in the order in which an artifact keeps them
        known = [
            one for one in (named_input(each, name, kinds) for each in examples) if one is not None
        ]
        if not known:
            raise DataError(f"data: no example to train on has the input {name!r}.")
        fronts[name] = _fitted(name, functools.partial(_FIT[kind], known, data, channels))
    return fronts


def heard(
    kinds: Mapping[str, str], values: list[Any], places: Sequence[str], data: InputSection
) -> list[Any]:
    """Inputs whose sounds are frames by now, unscaled: what is costly is computed once.

    Args:
        kinds: of the inputs by name.
        values: what is read of each example, as of :func:`fit_inputs`.
        places: where each is from.
        data: how.

    Raises:
        DataError: a recording that cannot be encoded, with its place.
    """
    names = [name for name, kind in kinds.items() if kind == "sound"]
    for name in names:
        known = (named_input(each, name, kinds) for each in values)
        first = next((one for one in known if one is not None), None)
        if first is None:
            continue
        front = _fitted(name, functools.partial(_unfitted, first, data))
        pairs = zip(values, places, strict=True)
        values = [_framed(front, name, each, place, kinds) for each, place in pairs]
    return values


def _framed(front: Sound, name: str, whole: Any, place: str, kinds: Mapping[str, str]) -> Any:
    value = named_input(whole, name, kinds)
    if value is None:
        return whole
    with told_at(place):
        frames = Framed(front.frames(value), front.rate)
    return frames if len(kinds) == 1 else {**whole, name: frames}


def named_input(example: Any, name: str, inputs: Mapping[str, Any]) -> Any:
    """One of what is read of an example, or None; where there is one alone, it is the example.

    Args:
        example: as of :func:`fit_inputs`.
        name: of the input.
        inputs: all of them by name.
    """
    return example if len(inputs) == 1 else example.get(name)


@contextmanager
def told_at(place: str) -> Iterator[None]:
    """What a front cannot encode is told with its place.

    Raises:
        DataError: in place of what a front raises.
    """
    try:
        yield
    except MissingLibraryError as problem:
        raise DataError(f"data: {problem}.") from None
    except ValueError as problem:
        raise DataError(f"{place}: {problem}.") from None


def _fitted(name: str, fit: Callable[[], Any]) -> Any:
    try:
        return fit()
    except MissingLibraryError as problem:
        raise DataError(f"data: {problem}.") from None
    except ValueError as problem:
        if isinstance(problem, DataError | SettingError):
            raise
        raise DataError(f"data, {name}: {problem}.") from None


def _series(values: Sequence[Any], data: InputSection, channels: Sequence[str]) -> Series:
    return Series(channels, mask=data.missing).fit(values)


def _sound(values: Sequence[Any], data: InputSection, channels: Sequence[str]) -> Sound:
    return _unfitted(values[0], data).fit(values)


def _unfitted(first: Any, data: InputSection) -> Sound:
    names = ["features", "bins", "coefficients", "frame", "shift", "deltas", "normalization"]
    settings = {name: getattr(data, name) for name in [*names, "resample"]}
    return Sound(data.rate or first.rate, **settings)


def _picture(values: Sequence[Any], data: InputSection, video: bool) -> Picture:
    first = np.shape(values[0])[1 if video else 0 :][:2]
    return data.picture_front(first, video).fit(values)


def _text(values: Sequence[Any], data: InputSection, channels: Sequence[str]) -> Any:
    return vocabulary_of(map(joined_words, values), data)


def joined_words(value: Any) -> Any:
    """Words that are listed as a text."""
    return " ".join(value) if isinstance(value, tuple | list) else value


_FIT: dict[str, Callable[[Sequence[Any], InputSection, Sequence[str]], Any]] = {
    "text": _text,
    "words": _text,
    "series": _series,
    "sound": _sound,
    "picture": lambda values, data, channels: _picture(values, data, False),
    "video": lambda values, data, channels: _picture(values, data, True),
}


def check_fronts(
    fronts: Mapping[str, Any], data: InputSection, report: Callable[[str], None]
) -> None:
    """Hold settings against fronts that are there already, as :func:`check_vocabulary` does."""
    for front in fronts.values():
        if is_text(front):
            check_vocabulary(front, data, report)


# ---- kinds ---------------------------------------------------------------------------------------


def is_text(front: Any) -> bool:
    """Whether it is a vocabulary."""
    return hasattr(front, "decode")


def kind_of_front(front: Any) -> Kind:
    """What it makes numbers of."""
    if is_text(front):
        return "text"
    if isinstance(front, Picture):
        return "video" if front.video else "picture"
    return "sound" if isinstance(front, Sound) else "series"


def grayed_of(fronts: Mapping[str, Any], examples: Iterable[Any]) -> list[str]:
    """What is to be said of pictures and videos that lose their colors; nothing where none does.

    Args:
        fronts: of the inputs, by name.
        examples: what is read of each, as of :func:`fit_inputs`.
    """
    ranks = {n: 4 if f.video else 3 for n, f in fronts.items() if _is_gray(f)}
    if not ranks:
        return []

    def colored(example: Any) -> bool:
        return any(
            _colored(named_input(example, name, fronts), rank) for name, rank in ranks.items()
        )

    count = sum(map(colored, examples))
    told = "pictures in color that become shades of gray (data.picture_mode=L; RGB keeps colors)"
    return [f"{told}: {count:,}"] if count else []


def _is_gray(front: Any) -> bool:
    return isinstance(front, Picture) and front.mode == "L"


def _colored(pixels: Any, rank: int) -> bool:
    """Whether any pixel ``[..., channels]`` is not gray; of a lower rank there are no channels."""
    if np.ndim(pixels) != rank or np.shape(pixels)[-1] < 3:
        return False
    return bool((pixels[..., :2] != pixels[..., 1:3]).any())


def reads_of(fronts: Mapping[str, Any]) -> dict[str, Reads]:
    """What a model reads of what these fronts give."""
    return {name: _reads(front) for name, front in fronts.items()}


def check_restored(
    known: Mapping[str, Reads], said: str, size: int, fronts: Mapping[str, Any]
) -> None:
    """Hold fronts against what a kept model tells of itself.

    Args:
        known: what it reads.
        said: the front of what it says.
        size: how many classes or symbols that has.
        fronts: which lie beside the model.

    Raises:
        ValueError: they are not its own.
    """
    wanted: dict[str, Any] = {**known, said: size}
    got: dict[str, Any] = reads_of({name: fronts[name] for name in fronts if name != said})
    if said in fronts:
        got[said] = len(fronts[said])
    for name in sorted({*wanted, *got}):
        if got.get(name) != wanted.get(name):
            raise ValueError(
                f"expected a front {name!r} of {wanted.get(name, 'nothing')} beside this model, "
                f"got {got.get(name, 'none')}. It belongs to another model"
            )


def _reads(front: Any) -> Reads:
    if is_text(front):
        return Reads(form="tokens", sizes=[len(front)], ends=_ends(front))
    if isinstance(front, Picture):
        return Reads(form="pictures", sizes=list(front.shape), steps=front.video)
    return Reads(form="frames", sizes=list(front.shape))


def _ends(front: Any) -> list[int]:
    """Ids of the marks that end a sentence, where such a mark is a symbol."""
    found = {tuple(np.asarray(front.encode(mark)).tolist()) for mark in ".!?"}
    return sorted(ids[0] for ids in found if len(ids) == 1 and ids[0] != UNKNOWN)

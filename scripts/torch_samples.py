"""What torch's own tests try on its recurrent layers, tried on ours: prints every difference.

Torch keeps samples of every module for its tests, and is installed with them. To import them
changes settings of the whole process, and to try them takes a minute: this is a program, and no
test. Words of errors are ours; any other difference makes it fail.
"""

from __future__ import annotations

import copy
import io
import pickle
import re
import sys
import types
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.utils.rnn import PackedSequence

import recurra

sys.modules.setdefault("expecttest", types.ModuleType("expecttest")).TestCase = unittest.TestCase  # type: ignore[attr-defined]
sys.argv = sys.argv[:1]  # which torch reads
from torch.testing._internal import common_modules  # noqa: E402

DOUBLE = {"device": "cpu", "dtype": torch.float64}


def infos() -> Iterator[tuple[Any, type[nn.Module]]]:
    """What torch knows of its three layers, and ours."""
    for info in common_modules.module_db:
        if info.module_cls in (nn.RNN, nn.LSTM, nn.GRU):
            yield info, getattr(recurra, info.module_cls.__name__)


def tensors(value: Any) -> list[Tensor]:
    """All of a result, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data]
    return [found for part in value for found in tensors(part)]


def close(ours: Any, theirs: Any) -> bool:
    """The same shapes, and numbers up to rounding."""
    pairs = list(zip(tensors(ours), tensors(theirs), strict=True))
    return all(a.shape == b.shape and torch.allclose(a, b, atol=1e-10) for a, b in pairs)


def noncontiguous(value: Any) -> Any:
    """The same numbers, every other one of memory."""
    if isinstance(value, Tensor):
        return value.detach().repeat_interleave(2, -1)[..., ::2].requires_grad_()
    return tuple(map(noncontiguous, value)) if type(value) is tuple else value


def saved(layer: Any) -> Any:
    """A layer that was on a disk."""
    file = io.BytesIO()
    torch.save(layer, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


def tried(ours: Any, theirs: Any, sample: Any) -> Iterator[tuple[str, bool]]:
    """Each test of one sample, and whether it passes."""
    given, named = sample.forward_input.args, sample.forward_input.kwargs
    wanted, found = theirs(*given, **named), ours(*given, **named)
    yield "forward", close(found, wanted)
    yield "repr", repr(ours) == repr(theirs)
    yield "names", list(ours.state_dict()) == list(theirs.state_dict())
    yield "types", {p.dtype for p in ours.parameters()} == {torch.float64}
    for copied in (copy.deepcopy, saved, lambda layer: pickle.loads(pickle.dumps(layer))):
        yield "copies", close(copied(ours)(*given, **named), wanted)
    yield "non-contiguous", close(ours(*map(noncontiguous, given), **named), wanted)
    empty = copy.deepcopy(ours).to("meta").to_empty(device="cpu")
    empty.load_state_dict(theirs.state_dict())
    yield "to_empty", close(empty(*given, **named), wanted)
    if isinstance(given[0], PackedSequence):
        return
    reference = sample.reference_fn(ours, *given, **named)
    yield "reference", close(found, reference)
    if not ours.batch_first and ours.bias:  # a turned input is tried above
        checked = tuple(found for value in given for found in tensors(value))
        again = lambda *leaves: tuple(tensors(ours(leaves[0], *as_hx(leaves[1:]))))  # noqa: E731
        yield "gradcheck", gradcheck(again, checked, fast_mode=True)
        yield "gradgradcheck", gradgradcheck(again, checked, fast_mode=True)


def as_hx(leaves: tuple[Tensor, ...]) -> tuple[Any, ...]:
    """A state as a call takes it; none of no tensors."""
    return leaves if len(leaves) < 2 else (leaves,)


def differences() -> Iterator[str]:
    """One line for each."""
    for info, ours in infos():
        name = ours.__name__
        for training in (True, False):
            more = {"requires_grad": True, "training": training, **DOUBLE}
            for sample in info.module_inputs_func(info, with_packed_sequence=True, **more):
                made = sample.constructor_input
                layers = [
                    kind(*made.args, **made.kwargs, **DOUBLE).train(training)
                    for kind in (ours, info.module_cls)
                ]
                layers[0].load_state_dict(layers[1].state_dict())
                passed = dict.fromkeys(test for test, good in tried(*layers, sample) if not good)
                yield from (f"{name}, {test}: {made.kwargs}" for test in passed)
        for error in info.module_error_inputs_func(
            info, requires_grad=False, training=True, **DOUBLE
        ):
            yield from of_error(ours, error)


def of_error(ours: Callable[..., Any], error: Any) -> Iterator[str]:
    """Whether what is wrong is refused, with torch's type and torch's words."""
    sample = error.module_error_input
    made, given = sample.constructor_input, sample.forward_input
    case = f"{ours.__name__}{made.args} {made.kwargs}"
    try:
        layer = ours(*made.args, **made.kwargs)
        if given is not None:
            layer(*given.args, **given.kwargs)
    except Exception as problem:
        if not isinstance(problem, error.error_type):
            yield f"type of error, {case}: {type(problem).__name__}"
        if not isinstance(problem, recurra.RecurraError):
            yield f"no error of ours, {case}: {problem}"
        if not re.search(error.error_regex, str(problem)):
            yield f"words, {case}: {problem}"
    else:
        yield f"not refused, {case}"


if __name__ == "__main__":
    found = list(differences())
    print("\n".join(found))
    sys.exit(any(not line.startswith("words") for line in found))

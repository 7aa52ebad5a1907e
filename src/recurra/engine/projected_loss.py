r"""Cross-entropy of projected rows, without a tensor of all scores.

.. math::

    z_t = W x_t + b, \qquad \ell_t = \log \sum_k e^{z_{tk}} - z_{t y_t}, \qquad
    \partial \ell_t / \partial z_{tk} = e^{z_{tk}} / \sum_j e^{z_{tj}} - [k = y_t]

Labels come in blocks, whose part of W stays in the cache while all rows meet it. Forward keeps the
logarithms of the sums alone; back the scores of a block are computed again, for their gradients (as
Wijmans et al. 2024, "Cut your losses in large-vocabulary language models", do on GPUs). That is
four products where three would do, and the memory of one block where that of all scores was.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

import recurra_runtime
from recurra.engine.assemble import Argument, assemble
from recurra.engine.graph.values import SHARED, STEP, Graph, Value
from recurra.engine.machine.arguments import Executable, Schedule, threads_for
from recurra.engine.machine.saved_tensors import as_saved, layouts_of
from recurra.engine.plan.phases import sections
from recurra.engine.record.tape import other_modes
from recurra.engine.torch_internals import address_of, batched

__all__ = ["can_project", "fused_cross_entropy"]

# Rows between which scores' gradients are kept for the sum that is the weights' one.
_CHUNK = 192
# Rows that are computed together.
_WINDOW = 32
# Numbers of a block of W: packed both ways, with its gradient, they fit the cache of a core.
_BLOCK = 1 << 16
# Arguments that lie label by label, and block by block; the others row by row, or are one number.
_LABELED = ("numbers", "weight", "bias", "dweight", "dbias")
_BLOCKED = ("largest", "total", "score")
# From here on a float does not tell one label from the next.
_MOST = 1 << 24


def can_project(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the machine computes it: many labels, numbers of one type on the CPU, no modes."""
    tensors = [x, weight, *([] if bias is None else [bias])]
    return (
        recurra_runtime.native_available()
        and x.dtype in (torch.float32, torch.float64)
        and all(t.dtype is x.dtype and t.device.type == "cpu" for t in tensors)
        and all(type(t) in (Tensor, torch.nn.Parameter) for t in tensors)
        and x.shape[0] > 0
        # The scores of fewer labels are less than what goes in.
        and x.shape[1] <= weight.shape[0] < _MOST
        and weight.is_contiguous()
        and x.shape[1] > 0
        and not any(t.is_neg() for t in tensors)
        and (bias is None or bias.is_contiguous())
        and other_modes() is None
    )


def fused_cross_entropy(x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """The sum of the losses of all rows, in nats.

    Args:
        x: ``[rows, features]``, at least one.
        weight: ``[labels, features]``.
        bias: ``[labels]``, or None.
        targets: ``[rows]``, whole numbers below ``labels``; they are not looked at here.
    """
    found: Tensor = _Projected.apply(x, weight, bias, targets)  # type: ignore[no-untyped-call]
    return found


class _Given(NamedTuple):
    """``x [rows, features]``, ``weight [labels, features]``, ``bias [labels]``, targets of rows."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor


class _Projected(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
    ) -> Tensor:
        losses, logarithms = _losses(_Given(x, weight, bias, targets))
        saved = (x, weight, bias, targets, logarithms)
        ctx.save_for_backward(*saved)
        ctx.layouts = layouts_of(saved)
        return losses.sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, logarithms = as_saved(ctx.saved_tensors, ctx.layouts)
        given, wanted = _Given(*tensors), ctx.needs_input_grad[:3]
        if torch.is_grad_enabled() or batched(grad):  # gradients of gradients, or several at once
            return (*_again(given, grad, wanted), None)
        return (*_gradients(given, logarithms, grad, wanted), None)


@lru_cache(maxsize=64)
def _program(
    features: int, labels: int, biased: bool, wanted: tuple[bool, ...], dtype: torch.dtype
) -> Executable:
    """What is done with a block of labels: sums for the loss, or the gradients that are wanted."""
    graph = Graph()
    x = graph.input("x", (features,), STEP)
    target = graph.input("target", (1,), STEP)
    numbers = graph.input("numbers", (labels,), SHARED)
    weight = graph.input("weight", (features, labels), SHARED)
    given = [x, target, numbers, weight]
    z = graph.linear(x, weight)
    if biased:
        given.append(graph.input("bias", (labels,), SHARED))
        z = graph.apply("add", z, given[-1])
    chosen = graph.apply("eq", numbers, target)
    results: dict[str, Value] = {}
    if any(wanted):
        given += [
            logarithm := graph.input("logarithm", (1,), STEP),
            grad := graph.input("grad", (1,), SHARED),
        ]
        share = graph.apply("exp", graph.apply("sub", z, logarithm))
        dz = graph.apply("mul", graph.apply("sub", share, chosen), grad)
        if wanted[0]:
            given.append(graph.input("before", (features,), STEP))
            dx = graph.linear(dz, graph.permute(weight, (1, 0)))
            results["dx"] = graph.apply("add", given[-1], dx)
        if wanted[1]:
            results["dweight"] = graph.outer(x, dz)
        if wanted[2]:
            results["dbias"] = graph.row_sum(dz)
    else:
        # Scores may be -inf, of labels that are ruled out: also all of a block.
        largest = graph.apply("maximum", graph.max(z, [0]), float(torch.finfo(dtype).min))
        results["largest"] = largest
        results["total"] = graph.sum(graph.apply("exp", graph.apply("sub", z, largest)), [0])
        results["score"] = graph.sum(graph.apply("where", chosen, z, 0.0), [0])
    turned = (1, features)  # weight [labels, features] as [features, labels]
    arguments = [Argument(v.settings[0], v.size, v, turned if v is weight else None) for v in given]
    arguments += [
        Argument(name, v.size, v, None)
        if v.span == STEP
        else Argument(name, v.size, None, turned if name == "dweight" else None, v)
        for name, v in results.items()
    ]
    return Executable(assemble(sections(results.values(), given, (), ()), arguments, (), ()), dtype)


def _blocks(labels: int, features: int) -> list[tuple[int, int]]:
    """First and last label (and one) of each block."""
    size = max(64, _BLOCK // features // 64 * 64)
    return [(start, min(start + size, labels)) for start in range(0, labels, size)]


def _run(given: _Given, wanted: tuple[bool, ...], more: Mapping[str, Tensor | None]) -> None:
    """Block after block.

    Args:
        given: what the loss is of.
        wanted: which gradients are.
        more: other arguments by name.
    """
    x, weight = given.x, given.weight
    count, features = x.shape
    x = x if x.stride(1) == 1 else x.contiguous()
    tensors = {
        **more,
        "x": x,
        "target": given.targets.to(x.dtype),
        "numbers": torch.arange(len(weight), dtype=x.dtype, device=x.device),
        "weight": weight,
        "bias": given.bias,
    }
    places = [(name, *_steps(name, t)) for name, t in tensors.items() if t is not None]
    for block, (start, stop) in enumerate(_blocks(len(weight), features)):
        program = _program(features, stop - start, given.bias is not None, wanted, x.dtype)
        arguments = program.of_one_row(
            (name, address + start * of_label + block * of_block, step)
            for name, address, step, of_label, of_block in places
        )
        rows = Schedule(count, 1, None, False, threads_for(program.flops * count))
        program.run(rows, arguments, descending=False, chunk=_CHUNK, window=_WINDOW)


def _steps(name: str, tensor: Tensor) -> tuple[int, int, int, int]:
    """Address, numbers from row to row, and bytes from label to label and from block to block."""
    address, first = address_of(tensor), tensor.stride(0) if tensor.dim() else 0
    if name in _LABELED:
        return address, 0, first * tensor.itemsize, 0
    if name in _BLOCKED:
        return address, 1, 0, first * tensor.itemsize
    return address, first, 0, 0


def _losses(given: _Given) -> tuple[Tensor, Tensor]:
    """The loss of each row, and the logarithm of its sum."""
    x = given.x
    blocks = len(_blocks(len(given.weight), x.shape[1]))
    found = {name: x.new_empty(blocks, len(x)) for name in _BLOCKED}
    _run(given, (False,) * 3, found)
    logarithms = torch.logsumexp(found["largest"] + found["total"].log(), 0)
    return logarithms - found["score"].sum(0), logarithms


def _gradients(
    given: _Given, logarithms: Tensor, grad: Tensor, wanted: tuple[bool, ...]
) -> list[Tensor | None]:
    """Those that are wanted, of x, weight and bias."""
    x, weight, bias, _ = given
    dx = torch.zeros_like(x, memory_format=torch.contiguous_format) if wanted[0] else None
    dweight = torch.empty_like(weight) if wanted[1] else None
    dbias = torch.empty_like(bias) if wanted[2] and bias is not None else None
    more = {"logarithm": logarithms, "grad": grad, "before": dx, "dx": dx}
    _run(given, wanted, {**more, "dweight": dweight, "dbias": dbias})
    return [dx, dweight, dbias]


def _again(given: _Given, grad: Tensor, wanted: tuple[bool, ...]) -> list[Tensor | None]:
    """The gradients in plain torch: they have gradients themselves, and know torch's transforms."""
    x, weight, bias, targets = given
    with torch.enable_grad():
        scores = torch.nn.functional.linear(x, weight, bias)
        loss = torch.nn.functional.cross_entropy(scores, targets, reduction="sum")
    asked = [t for t, yes in zip((x, weight, bias), wanted, strict=True) if yes and t is not None]
    back = iter(torch.autograd.grad(loss, asked, grad, create_graph=True))
    return [next(back) if yes else None for yes in wanted]

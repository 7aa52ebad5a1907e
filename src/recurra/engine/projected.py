r"""Cross-entropy of projected rows, without a tensor of all scores.

.. math::

    z_t = W x_t + b, \qquad \ell_t = \log \sum_k e^{z_{tk}} - z_{t y_t}, \qquad
    \partial \ell_t / \partial z_{tk} = e^{z_{tk}} / \sum_j e^{z_{tj}} - [k = y_t]

The tokens are the steps of a program without a state: scores live in a window of few rows, and the
gradients are computed beside the loss, while the scores are at hand (as Hsu et al. 2024, "Liger
Kernel", do on GPUs). So the products are three, as without, and what is kept is the gradients.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

import recurra_runtime
from recurra.engine.assemble import Argument, assemble
from recurra.engine.graph import SHARED, STEP, Graph
from recurra.engine.machine import Program, Rows, threads_for
from recurra.engine.plan import sections
from recurra.engine.record import other_modes

__all__ = ["can_project", "fused_cross_entropy"]

# Rows between which scores' gradients are kept for the sum that is the weights' one.
_CHUNK = 192
# Numbers of a window of scores: what fits the cache beside the weights.
_SCORES = 1 << 19
# From here on a float does not tell one label from the next.
_MOST = 1 << 24


def can_project(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the machine computes it: numbers of one type on the CPU, and nothing else at work."""
    tensors = [x, weight, *([] if bias is None else [bias])]
    return (
        recurra_runtime.native_available()
        and x.dtype in (torch.float32, torch.float64)
        and all(t.dtype is x.dtype and t.device.type == "cpu" for t in tensors)
        and all(type(t) in (Tensor, torch.nn.Parameter) for t in tensors)
        and x.shape[0] > 0
        and weight.shape[0] < _MOST
        and weight.is_contiguous()
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


class _Projected(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, weight, bias, targets)
        total, ctx.found = _run(x, weight, bias, targets, ctx.needs_input_grad[:3])
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, targets = ctx.saved_tensors
        if torch.is_grad_enabled():  # gradients of gradients are asked for
            return (*_again(x, weight, bias, targets, grad, ctx.needs_input_grad[:3]), None)
        found, ctx.found = ctx.found, None
        if found is None:  # a second time
            _, found = _run(x, weight, bias, targets, ctx.needs_input_grad[:3])
        return (*(None if part is None else part.mul_(grad) for part in found), None)


@lru_cache(maxsize=64)
def _program(
    features: int, labels: int, biased: bool, wanted: tuple[bool, ...], dtype: torch.dtype
) -> Program:
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
    largest = graph.max(z, [0])
    e = graph.apply("exp", graph.apply("sub", z, largest))
    total = graph.sum(e, [0])
    score = graph.sum(graph.apply("mul", chosen, z), [0])
    log = graph.apply("add", graph.apply("log", total), largest)
    results = {"loss": graph.row_sum(graph.apply("sub", log, score))}
    if any(wanted):
        dz = graph.apply("sub", graph.apply("mul", e, graph.apply("div", 1.0, total)), chosen)
        if wanted[0]:
            results["dx"] = graph.linear(dz, graph.permute(weight, (1, 0)))
        if wanted[1]:
            results["dweight"] = graph.outer(x, dz)
        if wanted[2]:
            results["dbias"] = graph.row_sum(dz)
    turned = (1, features)  # weight [labels, features] as [features, labels]
    arguments = [Argument(v.settings[0], v.size, v, turned if v is weight else None) for v in given]
    arguments += [
        Argument(name, v.size, None, turned if name == "dweight" else None, v)
        for name, v in results.items()
    ]
    return Program(assemble(sections(results.values(), given, (), ()), arguments, (), ()), dtype)


def _run(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, wanted: tuple[bool, ...]
) -> tuple[Tensor, list[Tensor | None]]:
    """The loss, and the gradients that are wanted."""
    count, features = x.shape
    labels = len(weight)
    program = _program(features, labels, bias is not None, wanted, x.dtype)
    x = x if x.stride(1) == 1 else x.contiguous()
    target = targets.to(x.dtype).contiguous()
    numbers = torch.arange(labels, dtype=x.dtype)
    loss = x.new_zeros(())
    found = [
        torch.empty_like(t, memory_format=torch.contiguous_format)
        if asked and t is not None
        else None
        for t, asked in zip((x, weight, bias), wanted, strict=True)
    ]
    flat = program.of_one_row(
        {"x": x, "target": target, "dx": found[0]},
        {
            "numbers": numbers,
            "weight": weight,
            "bias": bias,
            "loss": loss,
            "dweight": found[1],
            "dbias": found[2],
        },
    )
    program.run(
        Rows(count, 1, None, False, threads_for(program.flops * count)),
        flat,
        descending=False,
        chunk=_CHUNK,
        window=max(1, _SCORES // labels),
    )
    return loss, found


def _again(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    grad: Tensor,
    wanted: tuple[bool, ...],
) -> list[Tensor | None]:
    """The gradients in plain torch, so that they have gradients themselves."""
    scores = torch.nn.functional.linear(x, weight, bias)
    loss = torch.nn.functional.cross_entropy(scores, targets, reduction="sum")
    asked = [t for t, yes in zip((x, weight, bias), wanted, strict=True) if yes and t is not None]
    back = iter(torch.autograd.grad(loss, asked, grad, create_graph=True))
    return [next(back) if yes else None for yes in wanted]

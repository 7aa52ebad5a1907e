"""Write the table of what a step may be made of, from the steps themselves: each is run.

Usage: operations.py [--check]. With --check nothing is written, and the exit code is 1 if the table
in docs/operations.md is not the one that the steps give.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

import recurra

__all__ = ["GROUPS", "PAGE", "STEPS", "Step", "StepCell", "problem", "refusal", "with_table"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
BEGIN, END = "<!-- operations: begin -->", "<!-- operations: end -->"
SIZE, TIME, BATCH = 6, 3, 5
NAMES = {"torch": torch, "F": F, "SIZE": SIZE}


class Step(NamedTuple):
    """A small step.

    Args:
        group: what it belongs to.
        code: an expression of ``x`` and ``h``, both ``[batch, SIZE]``, and of a weight ``w``
            ``[SIZE, SIZE]``; it gives the new ``h``, or something that is summed up to it.
    """

    group: str
    code: str


def _steps() -> Iterator[Step]:
    for group, codes in GROUPS.items():
        for line in codes.strip().splitlines():
            yield Step(group, line.strip())


GROUPS = {
    "arithmetic": """
        x + h
        x - 2 * h
        x * h
        x / (2 + h * h)
        torch.addcmul(x, h, x, value=0.5)
        torch.lerp(x, h, 0.3)
        torch.pow(h.abs() + 0.5, x)
        x ** 3 + h.square()
        (h.abs() + 1).sqrt() + (x.abs() + 1).rsqrt()
        x.abs() + h.sign() + torch.sgn(x)
        torch.hypot(x, h)
        torch.copysign(x, h)
        torch.fmod(x, 0.7) + h
        torch.remainder(x, 0.7) + h
        torch.div(x, 0.3, rounding_mode="floor") + h
        torch.div(x, 0.3, rounding_mode="trunc") + h
        x.detach() // 0.3 + h
        torch.xlogy(x, h.abs() + 1)
        torch.nan_to_num(x / h)
        torch.true_divide(x, h.abs() + 1)
        torch.float_power(x, 2).to(x.dtype) + h
    """,
    "rounding": """
        x.floor() + h
        x.ceil() + h
        x.round() + h
        torch.round(x, decimals=1) + h
        x.trunc() + h
        x.frac() + h
    """,
    "exponentials and logarithms": """
        x.exp() * h
        torch.expm1(x) + h
        torch.exp2(x) + h
        torch.log(x.abs() + 1) + h
        torch.log1p(x.abs()) + h
        torch.log2(x.abs() + 1) + h
        torch.log10(x.abs() + 1) + h
        torch.logaddexp(x, h)
        torch.logaddexp2(x, h)
        torch.logit(torch.sigmoid(x)) + h
        torch.logit(x, eps=0.1) + h
        torch.erf(x) + h
        torch.erfc(x) + h
        torch.sinc(x) + h
    """,
    "trigonometry": """
        torch.sin(x) + torch.cos(h)
        torch.tan(x) + h
        torch.asin(x.tanh()) + h
        torch.acos(x.tanh()) + h
        torch.atan(x) + h
        torch.atan2(x, h)
        torch.sinh(x) + h
        torch.cosh(x) + h
        torch.tanh(x + h)
        torch.asinh(x) + h
        torch.acosh(x.abs() + 1.5) + h
        torch.atanh(x.tanh()) + h
        torch.deg2rad(x) + torch.rad2deg(h)
    """,
    "comparisons and choices": """
        torch.where(x > h, x, h)
        (x >= 0).to(x.dtype) * h
        ((x < h) & (x != 0)).to(x.dtype) + h
        torch.logical_or(x > 1, h < 0).to(x.dtype) * x
        torch.maximum(x, h) + torch.minimum(x, h)
        torch.fmax(x, h) + torch.fmin(x, h)
        x.clamp(-0.5, 0.5) + h.clamp(min=0)
        torch.clamp(x, h.abs().neg(), h.abs())
        torch.isnan(x).to(x.dtype) + h
        torch.isinf(x).to(x.dtype) + h * torch.isfinite(h)
        x.masked_fill(h > 0, 1.0)
        torch.heaviside(x.detach(), h.detach()) + h
        torch.where(torch.isclose(x, h), x, h)
    """,
    "activations": """
        torch.sigmoid(x + h)
        F.relu(x) + F.relu6(3 * h)
        F.hardtanh(x) + h
        F.hardsigmoid(x) + F.hardswish(h)
        F.leaky_relu(x, 0.2) + h
        F.elu(x) + h
        F.celu(x, 0.7) + h
        F.selu(x) + h
        F.silu(x) + F.mish(h)
        F.gelu(x) + F.gelu(h, approximate="tanh")
        F.softplus(x) + F.logsigmoid(h)
        F.softsign(x) + F.tanhshrink(h)
        F.hardshrink(x) + F.softshrink(h)
        F.threshold(x, 0.1, 0.5) + h
        F.prelu(x, w[0]) + h
        F.rrelu(x) + h
        F.glu(torch.cat([x, h], 1))
        F.dropout(x, 0.5, training=False) + h
    """,
    "softmax, norms and sums": """
        F.softmax(x, 1) + F.log_softmax(h, 1)
        F.softmin(x, 1) + h
        F.normalize(x, dim=1) + h
        F.layer_norm(x, (SIZE,)) + h
        F.group_norm(x, 2) + h
        F.group_norm(x, 3, w[0], w[1]) + h
        F.rms_norm(x, (SIZE,), w[0]) + h
        F.cosine_similarity(x, h, dim=1)[:, None] * x
        F.pairwise_distance(x, h)[:, None] * x
        x.norm(dim=1, keepdim=True) + h
        torch.linalg.vector_norm(x, 3, dim=1, keepdim=True) + h
        torch.linalg.vector_norm(x, 1.5, dim=1, keepdim=True) + h
        torch.linalg.vector_norm(x, torch.inf, dim=1, keepdim=True) + h
        torch.linalg.vector_norm(x, 0, dim=1, keepdim=True) + h
        x * x.sum(1, keepdim=True) + h * h.mean(1, keepdim=True)
        x * x.var(1, keepdim=True) + h * h.std(1, keepdim=True, unbiased=False)
        x * x.amax(1, keepdim=True) + h * h.amin(1, keepdim=True)
        x * x.max(1, keepdim=True).values + h * h.min(1).values[:, None]
        (x.argmax(1, keepdim=True) + h.argmin(1, keepdim=True)).to(x.dtype) + h
        x.prod(1, keepdim=True) + h
        x.logsumexp(1, keepdim=True) + h
        x.nansum(1, keepdim=True) + h
        torch.where((x > 1).any(1, keepdim=True), x, h) * (h > -1).all(1, keepdim=True)
        torch.aminmax(x, dim=1, keepdim=True).max + h
        F.local_response_norm(x[:, :, None], 2)[..., 0] + h
    """,
    "running sums": """
        x.cumsum(1) + h
        x.cumprod(1) + h
        x.logcumsumexp(1) + h
        torch.diff(x, dim=1, append=h[:, :1]) + h
        x.cummax(1).values + h
        torch.cumulative_trapezoid(x, dim=1).sum(1, keepdim=True) + h
    """,
    "cutting, joining and moving": """
        torch.cat([x[:, 3:], h[:, :3]], 1)
        torch.stack([x, h], 2).sum(2)
        x.chunk(2, 1)[1].repeat(1, 2) + h
        sum(x.unbind(1))[:, None] + h
        x.split([2, 4], 1)[1].mean(1, keepdim=True) + h
        x.unfold(1, 2, 2).sum(2).repeat(1, 2) + h
        x.view(-1, 2, 3).transpose(1, 2).reshape(-1, SIZE) + h
        x.unflatten(1, (2, 3)).movedim(1, 2).flatten(1) + h
        x.view(-1, 2, 3).swapaxes(1, 2).reshape(-1, SIZE) + h
        x.unsqueeze(1).squeeze(1) + h
        x.flip(1) + h
        x.roll(1, 1) + h
        torch.rot90(x.view(-1, 2, 3), 1, (1, 2)).reshape(-1, SIZE) + h
        F.pad(x[:, :4], (1, 1)) + h
        F.pad(x[:, None, :4], (1, 1), mode="reflect")[:, 0] + h
        F.pad(x[:, None, :4], (1, 1), mode="replicate")[:, 0] + h
        F.pad(x[:, None, :4], (1, 1), mode="circular")[:, 0] + h
        x[:, :2].tile(1, 3) + h
        x[:, :3].repeat_interleave(2, 1) + h
        x[:, :1].expand(-1, SIZE) + h
        x[:, [2, 0, 1, 5, 4, 3]] + h
        x[:, ::2].repeat(1, 2) + h
        x.index_select(1, torch.tensor([5, 4, 3, 2, 1, 0])) + h
        x.gather(1, torch.tensor([[3, 0, 0, 1, 2, 5]]).expand(len(x), -1)) + h
        torch.take_along_dim(x, h.argmax(1, keepdim=True), 1) + h
        x.narrow(1, 1, 2).repeat(1, 3) + h
        torch.tril((x[:, :, None] * h[:, None])).sum(1)
        torch.triu((x[:, :, None] * h[:, None]), 1).sum(2)
        (x[:, :, None] * h[:, None]).diagonal(dim1=1, dim2=2) + h
        torch.diag_embed(x).sum(1) + h
        F.pixel_shuffle(x.view(-1, 6, 1, 1).repeat(1, 2, 1, 1), 2).sum((1, 2, 3))[:, None] + h
        torch.meshgrid(torch.arange(3.0), torch.arange(2.0), indexing="ij")[0].reshape(-1).to(x) + h
        F.one_hot(h.argmax(1), SIZE).to(x.dtype) + x
        (h.argmax(1)[:, None] == torch.arange(SIZE)).to(x.dtype) + x
        x.masked_select(x > 0).sum() + h
    """,
    "products": """
        x @ w + h
        F.linear(x, w) + torch.addmm(h, h, w, alpha=0.5)
        torch.einsum("bi,ij->bj", x, w) + h
        torch.einsum("bi,bi->b", x, h)[:, None] * x
        torch.einsum("bi,bj->bij", x, h).mean(1)
        torch.einsum("bi,bij->bj", x, h[:, :, None] * w)
        torch.bmm(x.view(-1, 2, 3), h.view(-1, 3, 2)).flatten(1).repeat(1, 2)[:, :SIZE]
        (x[:, None] @ (h[:, :, None] * w))[:, 0]
        torch.linalg.vecdot(x, h)[:, None] + h
        torch.cross(x[:, :3], h[:, :3], dim=1).repeat(1, 2) + h
        torch.kron(torch.ones(1, 2).to(x), x[:, :3]) + h
        torch.tensordot(x, w, 1) + h
        F.bilinear(x, h, w[None]).tanh() + h
        torch.einsum("bi,oij,bj->bo", x, w[None], h).tanh() + h
        F.conv1d(x[:, None], w[None, None, 0, :3], padding=1)[:, 0] + h
        F.avg_pool1d(x[:, None], 2).repeat(1, 1, 2)[:, 0] + h
        F.max_pool1d(x[:, None], 2).repeat(1, 1, 2)[:, 0] + h
        F.embedding(h.argmax(1), w) + x
    """,
    "sorting": """
        x.sort(1).values + h
        x.topk(2, 1).values.sum(1, keepdim=True) + h
        x.median(1, keepdim=True).values + h
        x.kthvalue(2, 1, keepdim=True).values + h
        x.quantile(0.5, 1, keepdim=True) + h
    """,
    "what changes in place, and chance": """
        x.clone().add_(h)
        x.clone().mul_(2).clamp_(-1, 1) + h
        x.detach() + h
        torch.zeros_like(x).add_(h)
        F.dropout(x, 0.5) + h
        x + torch.randn_like(h)
        x if x.sum() > 0 else h
    """,
}
STEPS = tuple(_steps())
"""In the order of the page."""


class StepCell(recurra.Cell):
    """The cell of a step: the new ``h`` is what its code gives."""

    def __init__(self, code: str) -> None:
        super().__init__(SIZE, SIZE)
        self.w = torch.nn.Parameter(torch.linspace(-0.9, 1.1, SIZE * SIZE).view(SIZE, SIZE))
        self.code = code
        # A function, not code to evaluate: a recording holds to what it can see.
        self.formula = eval(compile(f"lambda x, h, w: {code}", "step", "eval"), NAMES)

    def initial_state(self, batch: int) -> recurra.HiddenState:
        """Zeros."""
        return recurra.HiddenState(self.zeros(batch))

    def step(
        self, x: Tensor, state: recurra.HiddenState, context: object = None, noise: object = None
    ) -> tuple[Tensor, recurra.HiddenState]:
        """What the code gives."""
        h = self.formula(x, state.h, self.w)
        return h, recurra.HiddenState(h)


def refusal(step: Step) -> str | None:
    """Why a step does not run natively; None if it does."""
    choice = recurra.explain(StepCell(step.code)).choices[0]
    if choice.backend == "native":
        return None
    told = choice.reason.partition("because ")[2]
    return told.replace(" (step, line 1)", "")


def problem(step: Step) -> str | None:
    """What native computes otherwise than the loop, values and gradients; None if nothing."""
    generator = torch.Generator().manual_seed(0)
    x, h = (
        torch.randn(*lead, BATCH, SIZE, dtype=torch.float64, generator=generator)
        for lead in ((TIME,), ())
    )
    found = [_results(step, backend, x, h) for backend in ("native", "loop")]
    # Constants of torch's own gradients (1 / 6, 1 / alpha) are floats.
    for what, ours, theirs in zip(("value", "d x", "d h", "d w"), *found, strict=True):
        if not torch.allclose(ours, theirs, rtol=1e-7, atol=1e-9, equal_nan=True):
            return f"{what} differs by {float((ours - theirs).abs().max()):.3g}"
    return None


def _results(step: Step, backend: str, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    cell = StepCell(step.code).double()
    read = [x.clone().requires_grad_(), h.clone().requires_grad_(), cell.w]
    start = recurra.HiddenState(read[1])
    outputs = recurra.run(cell, read[0], start, backend=backend).outputs
    weights = torch.linspace(-1, 2, outputs.numel(), dtype=torch.float64).view(outputs.shape)
    found = torch.autograd.grad((outputs * weights).sum(), read, allow_unused=True)
    grads = (torch.zeros_like(r) if g is None else g for g, r in zip(found, read, strict=True))
    return (outputs.detach(), *grads)


def table() -> str:
    """The steps by group as Markdown tables."""
    lines: list[str] = []
    native = 0
    for group in GROUPS:
        rows = []
        for step in STEPS:
            if step.group == group:
                why = refusal(step)
                native += why is None
                told = "native" if why is None else f"`loop`: {why}"
                rows.append(f"| `{_cell(step.code)}` | {_cell(told)} |")
        lines += [f"## {group.capitalize()}", "", "| step | runs on |", "|---|---|", *rows, ""]
    return "\n".join([f"{native} of these {len(STEPS)} steps are native.", "", *lines]).rstrip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def with_table(text: str) -> str:
    """A page with the tables between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after and not text.rstrip().endswith(END):
        raise SystemExit(f"{PAGE.name}: no {BEGIN} and {END} around a table")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Write the page, or check it."""
    text = PAGE.read_text(encoding="utf-8")
    wanted = with_table(text)
    if wanted != text and "--check" in sys.argv[1:]:
        raise SystemExit(
            f"{PAGE.name}: the table is not what the steps give: run {Path(__file__).name}"
        )
    PAGE.write_text(wanted, encoding="utf-8")
    for step in STEPS:
        if refusal(step) is None and (wrong := problem(step)):
            raise SystemExit(f"{step.code}: {wrong}")


if __name__ == "__main__":
    main()

"""What is not documented of torch: found, or done without.

What a recording needs of each operation is in ``record``. Where a version of torch has none of it,
things are slower and never wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.modules import module as modules
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = [
    "ADDRESS",
    "DispatchMode",
    "address_of",
    "apart",
    "applied",
    "batched",
    "dispatch_modes",
    "hooked_modules",
    "norms_of",
    "outside_graphs",
    "tracing",
    "transformed",
    "without_compiler",
]

Function = TypeVar("Function", bound=Callable[..., Any])


class DispatchMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode for whose sake torch does not load its compiler, which takes seconds."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


tracing: Callable[[], bool] = torch.jit.is_tracing  # type: ignore[attr-defined]
"""Is ``torch.jit.trace`` at work?"""


def transformed() -> bool:
    """Is vmap, jvp or another transform of torch.func at work, or forward-mode differentiation?

    Where torch does not answer, one might be.
    """
    if getattr(forward_ad, "_current_level", 0) >= 0:
        return True
    peek = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", None)
    return peek is None or peek() is not None


def hooked_modules() -> bool:
    """Are there hooks that every module is to call?"""
    try:
        found: Any = (
            modules._global_forward_pre_hooks
            or modules._global_forward_hooks
            or modules._global_backward_pre_hooks
            or modules._global_backward_hooks
        )
    except AttributeError:  # there might be
        return True
    return bool(found)


def batched(*tensors: Tensor | None) -> bool:
    """Does one of them stand for several, as gradients with ``is_grads_batched`` do?"""
    has_storage = getattr(torch._C, "_has_storage", None)
    return has_storage is None or False in [t is None or has_storage(t) for t in tensors]


def dispatch_modes() -> int | None:
    """How many dispatch modes of Python are at work; None where torch does not answer."""
    count = getattr(torch._C, "_len_torch_dispatch_stack", None)
    return None if count is None else int(count())


def _sharing() -> bool:
    """Can tensors share memory until one of them is changed, and be read without that?"""
    probe = torch.zeros(2, device="cpu")[1:]
    try:
        address: int = torch._C._data_address(probe) + probe.itemsize  # type: ignore[attr-defined]
        return address == probe.data_ptr() and callable(torch._lazy_clone)
    except (AttributeError, TypeError):
        return False


_SHARING = _sharing()


def applied(function: type[torch.autograd.Function]) -> Callable[..., Any]:
    """Its ``apply``, of calls in which none of torch.func's transforms is at work.

    The same without what torch asks in Python at every call.

    Returns:
        what takes the first argument, and the others, tensors.
    """
    plain: Any = getattr(super(torch.autograd.Function, function), "apply", None)
    unwrap = getattr(getattr(torch._C, "_functorch", None), "unwrap_if_dead", None)
    if plain is None or unwrap is None:
        return lambda first, tensors: function.apply(first, *tensors)  # type: ignore[no-untyped-call]
    return lambda first, tensors: plain(first, *map(unwrap, tensors))


def apart(tensor: Tensor) -> Tensor:
    """The same numbers in a tensor of their own: whoever changes one leaves the other as it is.

    Memory is shared until then, so a tensor that nobody changes costs nothing.
    """
    return torch._lazy_clone(tensor) if _SHARING else tensor.clone()


ADDRESS: tuple[Callable[[Tensor], int], Callable[[Tensor], Any] | None] = (
    (torch._C._data_address, Tensor.storage_offset)  # type: ignore[attr-defined]
    if _SHARING
    else (Tensor.data_ptr, None)
)
"""What tells where the numbers of a tensor are read, and how many come before them, if any do.

To write them takes ``data_ptr()``, which copies what is shared.
"""


def address_of(tensor: Tensor) -> int:
    """Where the numbers of a tensor are read."""
    start, offset = ADDRESS
    before = 0 if offset is None else offset(tensor)
    return start(tensor) + (before * tensor.itemsize if before else 0)


def outside_graphs(function: Function, reason: str) -> Function:
    """Keep ``function`` and all that it calls out of the graphs of ``torch.compile``.

    ``torch.compiler.disable`` does the same and imports the compiler, which takes seconds. Where
    torch has none of the private names used here, the function is compiled: slow, but right.

    Args:
        function: what runs as it stands.
        reason: what is shown where a graph has to be whole.
    """
    marked: Any = function
    marked._torchdynamo_disable = True  # a graph ends in front of a call ...
    marked._torchdynamo_disable_msg = reason
    frames: Any = getattr(getattr(torch._C, "_dynamo", None), "eval_frame", None)
    try:  # ... and nothing inside is looked at
        skip = frames._FrameAction.SKIP
        frames.set_code_exec_strategy(marked.__code__, frames._FrameExecStrategy(skip, skip))
    except (AttributeError, TypeError):
        pass
    return function


# Methods of optimizers that torch keeps out of what it compiles; to do so it loads the compiler.
_KEPT_OUT = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


@lru_cache
def without_compiler(
    kind: type[torch.optim.Optimizer],
) -> Callable[..., Any]:
    """The same optimizer, whose steps nobody compiles: it does not load torch's compiler.

    That takes seconds. Hooks and the profiler's names are as they were: the constructor adds them.
    """
    plain: Any = inspect.unwrap(kind.step)

    def step(self: torch.optim.Optimizer, closure: Callable[[], float] | None = None) -> Any:
        with torch.no_grad():
            return plain(self, closure)

    own = {name: inspect.unwrap(getattr(kind, name)) for name in _KEPT_OUT}
    own |= {"step": step, "__doc__": kind.__doc__, "__init__": kind.__init__}
    return type(kind.__name__, (kind,), own)


def norms_of(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The Euclidean norm of each tensor, by one call where there is one for many tensors."""
    together = getattr(torch, "_foreach_norm", None)
    if together is None or not tensors:
        return [torch.linalg.vector_norm(tensor) for tensor in tensors]
    return list(together(list(tensors)))

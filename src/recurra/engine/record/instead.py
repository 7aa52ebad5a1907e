"""What to write in place of an operation that no instruction computes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["INSTEAD", "instead"]

_SORTED = "write x.amax(1), x.amin(1) or x.max(1); all features in order are not to be had"
_SORTS = ("sort", "argsort", "topk", "median", "nanmedian", "kthvalue", "mode", "quantile")
_IMAGE = "write x.unfold(...) over its axes, and a product or a mean of the windows"
_WINDOWS = ("avg_pool2d", "max_pool2d_with_indices", "avg_pool3d")
_ONE_ROW = "write F.layer_norm or F.group_norm, which read one row"
_KNOWN = "write torch.where(mask, x, 0.0), whose size is known beforehand"

INSTEAD: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(_SORTS, _SORTED),
        **dict.fromkeys(_WINDOWS, _IMAGE),
        "rrelu_with_noise": "write F.leaky_relu(x, (lower + upper) / 2), which it is in evaluation",
        "masked_select": _KNOWN,
        "nonzero": _KNOWN,
        "index_put": "write torch.where(mask, new, x)",
        "scatter": "write torch.where(torch.arange(n) == index, new, x)",
        "scatter_add": "write (torch.arange(n) == index[..., None]).to(x.dtype) and a product",
        "index_add": "write x + a product with a matrix of 0 and 1",
        "rot90": "write x.transpose(1, 2).flip(1)",
        "pixel_shuffle": "write x.view(...).permute(...).reshape(...)",
        "_trilinear": "write torch.einsum('bi,oij,bj->bo', x, weight, y)",
        "lgamma": "write what is wanted of it by log and exp (Stirling's series)",
        "digamma": "write what is wanted of it by log and its series",
        "erfinv": "write what is wanted of it by log and sqrt (Winitzki's formula)",
        "searchsorted": "write (bounds < x[..., None]).sum(-1)",
        "bucketize": "write (bounds < x[..., None]).sum(-1)",
        "batch_norm": _ONE_ROW,
        "_native_batch_norm_legit": _ONE_ROW,
        "native_batch_norm": _ONE_ROW,
        "multinomial": "draw in noise() and compare with x.cumsum(1)",
    }
)
"""By the name of the operation without its overload."""

_ELSE = "write it with operations of the page 'Operations in a step' (docs/operations.md)"


def instead(name: str) -> str:
    """What to write in place of an operation."""
    return INSTEAD.get(name.removesuffix("_").removesuffix("_backward"), _ELSE)

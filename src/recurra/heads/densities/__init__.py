"""What is said of a number: densities, probabilities of counts, points and quantiles.

Each is a named tuple of tensors ``[..., channels]`` (of a mixture ``[..., channels, components]``),
made by ``of`` from ``[..., channels, numbers]`` of any real numbers. A scale is at least
:data:`NARROWEST`: a channel that never changes has a density that is finite.
"""

from recurra.heads.densities.base import (
    NARROWEST,
    Density,
    Predictive,
    map_density,
    raw_of,
    scale_of,
)
from recurra.heads.densities.counts import (
    LEAST_DISPERSION,
    LEAST_RATE,
    NegativeBinomial,
    Poisson,
    are_counts,
)
from recurra.heads.densities.points import Point, Quantiles
from recurra.heads.densities.quick import quick_quantile
from recurra.heads.densities.real import LEAST_FREEDOM, Gaussian, GaussianMixture, Student
from recurra.heads.densities.samples import Samples
from recurra.heads.densities.scores import EVEN_SHARES, crps_of, pinball

__all__ = [
    "EVEN_SHARES",
    "LEAST_DISPERSION",
    "LEAST_FREEDOM",
    "LEAST_RATE",
    "NARROWEST",
    "Density",
    "Gaussian",
    "GaussianMixture",
    "NegativeBinomial",
    "Point",
    "Poisson",
    "Predictive",
    "Quantiles",
    "Samples",
    "Student",
    "are_counts",
    "crps_of",
    "map_density",
    "pinball",
    "quick_quantile",
    "raw_of",
    "scale_of",
]

"""What is said. A head turns what a layer returned into predictions, and scores them."""

from recurra.heads.alignment import AlignmentHead, least_steps
from recurra.heads.base import Explained, Head, Shown
from recurra.heads.copying import Copies, CopyingHead, ReadSymbols
from recurra.heads.crf import CRFHead, Paths
from recurra.heads.decoder import DecoderHead, Decoding
from recurra.heads.densities import (
    Density,
    Gaussian,
    GaussianMixture,
    NegativeBinomial,
    Point,
    Poisson,
    Predictive,
    Quantiles,
    Samples,
    Student,
    crps_of,
)
from recurra.heads.label import LabelHead
from recurra.heads.labels import LabelsHead
from recurra.heads.numbers import Distribution, Numbers, NumbersHead

__all__ = [
    "AlignmentHead",
    "CRFHead",
    "Copies",
    "CopyingHead",
    "DecoderHead",
    "Decoding",
    "Density",
    "Distribution",
    "Explained",
    "Gaussian",
    "GaussianMixture",
    "Head",
    "LabelHead",
    "LabelsHead",
    "NegativeBinomial",
    "Numbers",
    "NumbersHead",
    "Paths",
    "Point",
    "Poisson",
    "Predictive",
    "Quantiles",
    "ReadSymbols",
    "Samples",
    "Shown",
    "Student",
    "crps_of",
    "least_steps",
]

"""What is said. A head turns what a layer returned into predictions, and scores them."""

from recurra.heads.base import Head
from recurra.heads.crf import CRFHead, Paths
from recurra.heads.label import LabelHead
from recurra.heads.labels import LabelsHead

__all__ = ["CRFHead", "Head", "LabelHead", "LabelsHead", "Paths"]

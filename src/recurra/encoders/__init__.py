"""What is read."""

from recurra.encoders.asking import AskingEncoder
from recurra.encoders.base import Encoder
from recurra.encoders.columns import PictureColumns
from recurra.encoders.frames import FrameEncoder, Frames, Stem
from recurra.encoders.pictures import PictureLines, Pictures, Regions
from recurra.encoders.sentences import Sentences
from recurra.encoders.several import AlignedEncoder, SeveralEncoder
from recurra.encoders.steps import GappedSteps, SeriesSteps, StepVectors
from recurra.encoders.tokens import TokenEncoder
from recurra.encoders.words import SpelledEmbedding

__all__ = [
    "AlignedEncoder",
    "AskingEncoder",
    "Encoder",
    "FrameEncoder",
    "Frames",
    "GappedSteps",
    "PictureColumns",
    "PictureLines",
    "Pictures",
    "Regions",
    "Sentences",
    "SeriesSteps",
    "SeveralEncoder",
    "SpelledEmbedding",
    "Stem",
    "StepVectors",
    "TokenEncoder",
]

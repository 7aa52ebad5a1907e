"""Sequences with known answers, made from settings and a seed."""

from recurra.data.synthetic.base import Baseline, Endless, Seed, SyntheticSource, SyntheticTask
from recurra.data.synthetic.chaos import Logistic
from recurra.data.synthetic.films import Clips, FilmQuestion, FilmQuestions, write_video
from recurra.data.synthetic.flip_flops import FlipFlopTask
from recurra.data.synthetic.gaps import Gappy
from recurra.data.synthetic.lines import TextLines, fonts_of, installed_fonts, lines_of
from recurra.data.synthetic.markov import MarkovChain, MarkovSource
from recurra.data.synthetic.scenes import Scene, Scenes, Thing
from recurra.data.synthetic.sentences import (
    CuedSentence,
    CuedSentences,
    GivingSentences,
    OriginSentences,
)
from recurra.data.synthetic.series import ARMA, RandomWalk, SeasonalTrend
from recurra.data.synthetic.signals import Arithmetic, BallPictures, BouncingBall, Sine
from recurra.data.synthetic.stories import Stories, Story
from recurra.data.synthetic.tasks import AddingTask, BracketsTask, CopyTask, ParityTask

__all__ = [
    "ARMA",
    "AddingTask",
    "Arithmetic",
    "BallPictures",
    "Baseline",
    "BouncingBall",
    "BracketsTask",
    "Clips",
    "CopyTask",
    "CuedSentence",
    "CuedSentences",
    "Endless",
    "FilmQuestion",
    "FilmQuestions",
    "FlipFlopTask",
    "Gappy",
    "GivingSentences",
    "Logistic",
    "MarkovChain",
    "MarkovSource",
    "OriginSentences",
    "ParityTask",
    "RandomWalk",
    "Scene",
    "Scenes",
    "SeasonalTrend",
    "Seed",
    "Sine",
    "Stories",
    "Story",
    "SyntheticSource",
    "SyntheticTask",
    "TextLines",
    "Thing",
    "fonts_of",
    "installed_fonts",
    "lines_of",
    "write_video",
]

"""Raw text in, answer out: what the command line and a user's script call."""

from recurra.pipeline.cloze import Cloze, ClozeAnswer, answer_cloze, read_cloze
from recurra.pipeline.exporting import export_ngram
from recurra.pipeline.keystrokes import KeystrokeSavings, keystrokes_saved
from recurra.pipeline.predictive import PredictiveText, Suggestion
from recurra.pipeline.scoring import FilledLines, LineScore, rank_lines, score_lines
from recurra.pipeline.text_model import TextModel, given_conditions, open_text_model
from recurra.pipeline.writing import Writer, Written

__all__ = [
    "Cloze",
    "ClozeAnswer",
    "FilledLines",
    "KeystrokeSavings",
    "LineScore",
    "PredictiveText",
    "Suggestion",
    "TextModel",
    "Writer",
    "Written",
    "answer_cloze",
    "export_ngram",
    "given_conditions",
    "keystrokes_saved",
    "open_text_model",
    "rank_lines",
    "read_cloze",
    "score_lines",
]

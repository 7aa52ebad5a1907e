"""Raw text in, answer out: what the command line and a user's script call."""

from recurra.pipeline.cloze import Cloze, ClozeAnswer, answer_cloze, read_cloze
from recurra.pipeline.correction import Correction, Edit, correct_lines, known_words
from recurra.pipeline.exporting import export_ngram
from recurra.pipeline.keystrokes import KeystrokeSavings, keystrokes_saved
from recurra.pipeline.pairs import (
    Pair,
    PairAccuracy,
    PairScore,
    pair_accuracy,
    read_pairs,
    score_pairs,
)
from recurra.pipeline.predictive import Completion, PredictiveText, Suggestion, complete_lines
from recurra.pipeline.scoring import (
    FilledLines,
    LineScore,
    SymbolScores,
    rank_lines,
    score_lines,
    score_symbols,
)
from recurra.pipeline.text_model import TextModel, given_conditions, open_text_model
from recurra.pipeline.writing import Writer, Written

__all__ = [
    "Cloze",
    "ClozeAnswer",
    "Completion",
    "Correction",
    "Edit",
    "FilledLines",
    "KeystrokeSavings",
    "LineScore",
    "Pair",
    "PairAccuracy",
    "PairScore",
    "PredictiveText",
    "Suggestion",
    "SymbolScores",
    "TextModel",
    "Writer",
    "Written",
    "answer_cloze",
    "complete_lines",
    "correct_lines",
    "export_ngram",
    "given_conditions",
    "keystrokes_saved",
    "known_words",
    "open_text_model",
    "pair_accuracy",
    "rank_lines",
    "read_cloze",
    "read_pairs",
    "score_lines",
    "score_pairs",
    "score_symbols",
]

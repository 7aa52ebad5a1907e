"""English corrected: small edits of a sentence, and which of them a language model believes."""

from recurra.pipeline.correction.correcting import Correction, Edit, correct_lines, known_words

__all__ = ["Correction", "Edit", "correct_lines", "known_words"]

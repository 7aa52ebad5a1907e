"""Sentences with tags: CoNLL-U by names of columns, CoNLL by their numbers."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from recurra.data.examples import Example, Reading, open_examples
from recurra.errors import DataError, SettingError

UNIVERSAL = """# newdoc id = one
# sent_id = 1
# text = Don't.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\t_\t0\troot\t_\t_
2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_
2.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_
3\t#\t#\tPUNCT\t.\t_\t1\tpunct\t_\t_

# newdoc id = two
1\tYes you\tyes\tINTJ\tUH\t_\t0\troot\t_\t_

"""


def read(source: Any, **settings: Any) -> list[Example]:
    return list(open_examples(source, Reading(**settings)))


def test_universal_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    path.write_text(UNIVERSAL)
    examples = open_examples(path)
    assert examples.kinds == {"input": "words"}
    assert list(examples) == [
        Example(("Do", "n't", "#"), ("AUX", "PART", "PUNCT"), f"{path}: line 4", None, "one"),
        Example(("Yes you",), ("INTJ",), f"{path}: line 11", None, "two"),
    ]
    assert [e.target for e in read(path, label="xpos")] == [("VB", "RB", "."), ("UH",)]
    assert read(path, label="DEPREL")[1].target == ("root",)
    assert read(path, column="lemma")[0].input == ("do", "not", "#")
    assert {e.target for e in read(path, label=None)} == {None}


def test_packed_and_without_a_blank_line_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "en-ud-dev.conllu.gz"
    path.write_bytes(gzip.compress(UNIVERSAL.strip().encode()))
    found = read(path, split="given")
    assert [(len(e.input), e.part) for e in found] == [(3, "validation"), (1, "validation")]


def test_columns_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.conllup").write_text("# global.columns = ID FORM NER\n1\tUlm\tB-LOC\n")
    assert read(tmp_path / "a.conllup", input="words", label="ner")[0].target == ("B-LOC",)


PLAIN = """-DOCSTART- -X- O
 \t
# a comment of several words
EU NNP B-ORG
rejects VBZ O

# NNP I-MISC
7 CD O
"""


def test_columns_by_number(tmp_path: Path) -> None:
    path = tmp_path / "train.conll"
    path.write_text(PLAIN)
    found = read(path)
    assert [(e.input, e.target) for e in found] == [
        (("EU", "rejects"), ("B-ORG", "O")),
        (("#", "7"), ("I-MISC", "O")),
    ]
    assert [e.place for e in found] == [f"{path}: line 4", f"{path}: line 7"]
    assert read(path, label="1")[0].target == ("NNP", "VBZ")
    assert read(path, label="-2", column="2")[0][:2] == (("B-ORG", "O"), ("NNP", "VBZ"))
    (tmp_path / "odd.iob").write_text(PLAIN.replace(" ", "\t"))
    assert len(read(tmp_path / "odd.iob", input="words", separator="\t")) == 2


def test_columns_that_cannot_be(tmp_path: Path) -> None:
    path, plain = tmp_path / "a.conllu", tmp_path / "a.conll"
    path.write_text(UNIVERSAL)
    plain.write_text(PLAIN)
    with pytest.raises(SettingError, match=r"label: .*a.conllu has no column 'pos'; did you mean"):
        open_examples(path, Reading(label="pos"))
    with pytest.raises(SettingError, match=r"columns of CoNLL have numbers, .* got 'upos'"):
        open_examples(plain, Reading(label="upos"))
    with pytest.raises(SettingError, match="expected one column of tags, got 2"):
        open_examples(path, Reading(label=("upos", "xpos")))
    with pytest.raises(DataError, match=r"line 4: no column 3 \(label\), there are 3, from 0"):
        read(plain, label="3")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2\tx\tX", r"expected 10 columns with '\\t' between them, got 3"),
        ("2\t\tx\tX\tX\t_\t0\t_\t_\t_", "expected a word, got nothing"),
        ("2\tx\tx\t\tX\t_\t0\t_\t_\t_", "expected a tag, got nothing"),
    ],
)
def test_a_sentence_that_is_wrong(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    path.write_text(UNIVERSAL + "1\tx\tx\tX\tX\t_\t0\t_\t_\t_\n" + line + "\n\n" + UNIVERSAL)
    with pytest.raises(DataError, match=rf"a.conllu: line 14: {said}"):
        read(path)
    examples = open_examples(path, Reading(on_error="skip"))
    assert (len(list(examples)), examples.skipped) == (4, 1)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    path.write_bytes(UNIVERSAL.replace("2\tn't", "2\tn\xedt").encode("latin-1"))
    with pytest.raises(DataError, match=r"line 6, byte \d+ \(0xed\) is not utf-8"):
        read(path)
    examples = open_examples(path, Reading(on_error="skip"))
    assert ([e.input for e in examples], examples.skipped) == ([("Yes you",)], 1)
    assert "line 6, its byte 3 (0xed) is not utf-8" in examples.problems[0]
    assert read(path, encoding="latin-1")[0].input[1] == "n\xedt"

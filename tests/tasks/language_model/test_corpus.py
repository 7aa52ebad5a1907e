"""From texts to encoded parts: vocabularies, conditions, fingerprints, and little memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stopping import stopped_at

from recurra import artifact
from recurra.data import (
    Buckets,
    Document,
    Windows,
    documents_of,
    hash_part,
    open_documents,
)
from recurra.data import readers as readers_module
from recurra.errors import DataError, SettingError
from recurra.tasks.language_model import Corpus, DataSettings, open_source, prepare
from recurra.tasks.language_model import corpus as corpus_module
from recurra.tasks.texts import vocabulary_of
from recurra.training import evaluate, load_recipe, resume, train
from recurra_runtime.vocabulary import END, UNKNOWN

NAMES = [f"{first}{middle}{last}" for first in "abc" for middle in "eiou" for last in "lmnrs"] * 3


def written(corpus: Corpus, part: Any) -> list[str]:
    """The documents of a part as text."""
    return [corpus.vocabulary.decode(ids) for ids in corpus.parts[part].documents()]


def labels_of(corpus: Corpus, part: Any) -> list[list[str]]:
    """What is given of each document of a part."""
    given = corpus.parts[part].given
    assert given is not None
    return [
        [known.symbol(int(i)) for known, i in zip(corpus.labels.values(), row, strict=True)]
        for row in given
    ]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files come in pieces of some hundred characters."""
    read = readers_module.read_pieces

    def small(path: Path, *, encoding: str = "utf-8", nul: bool = False) -> Any:
        return read(path, encoding=encoding, nul=nul, size=300)

    monkeypatch.setattr(readers_module, "_CHUNK", 200)
    monkeypatch.setattr("recurra.data.texts.read_pieces", small)


# ---------------------------------------------------------------------------------------- corpora


@pytest.mark.parametrize("vocabulary", ["characters", "bytes", "words", "byte-pairs"])
@pytest.mark.parametrize("split", ["tail", "tails", "blocks"])
def test_a_file_in_pieces_makes_the_corpus_of_its_text(
    text: str, tmp_path: Path, small_pieces: None, vocabulary: str, split: str
) -> None:
    if vocabulary == "byte-pairs":
        pytest.importorskip("tokenizers")
    (tmp_path / "some.txt").write_text(text)
    settings: dict[str, Any] = {"breaks": "lines"} if vocabulary == "words" else {}
    settings |= {"block": 300} if split == "blocks" else {}
    data = DataSettings(vocabulary=vocabulary, split=split, **settings)
    source = open_source(tmp_path / "some.txt", data)
    assert sum(document.goes_on for document in source) > 5
    pieces = prepare(source, data, tmp_path / "pieces")
    whole = prepare([text], data, tmp_path / "whole")
    assert pieces.fingerprint == whole.fingerprint
    assert pieces.characters == whole.characters == len(text)
    assert pieces.vocabulary.to_json() == whole.vocabulary.to_json()
    for name, part in whole.parts.items():
        assert np.array_equal(pieces.parts[name].ids, part.ids)
        assert pieces.parts[name].header == part.header
        assert part.count == len(part.ids) - 1
    if vocabulary in ("characters", "bytes"):
        assert sum(len(t) for name in whole.parts for t in written(whole, name)) == len(text)


def test_fingerprints_tell_documents_apart(tmp_path: Path) -> None:
    def of(source: Sequence[Any], **how: Any) -> str:
        return prepare(source, DataSettings(**how), tmp_path / "ids").fingerprint

    known = [Document("a" * 40, "x", {"k": "1"}), Document("b" * 40, "y", {"k": "2"})]
    swapped = [
        Document(d.text, d.source, {"k": {"1": "2", "2": "1"}[d.fields["k"]]}) for d in known
    ]
    first = of(known)
    assert first == of(["a" * 40, "b" * 40]) == of(swapped)
    assert of(["a" * 40 + "b" * 40]) != first != of(["b" * 40, "a" * 40])
    assert of(known, conditions=["k"]) != of(swapped, conditions=["k"])


def test_only_what_is_trained_on_makes_the_vocabularies(tmp_path: Path) -> None:
    known = [Document("a" * 80, "x", {"k": "one"}), Document("b" * 20, "y", {"k": "two"})]
    corpus = prepare(known, DataSettings(conditions=["k"]), tmp_path)
    assert list(corpus.fronts) == ["text", "k"]
    assert corpus.vocabulary.to_json()["characters"] == ["a"]
    assert corpus.labels["k"].labels == ("one",)
    assert labels_of(corpus, "test") == [["<unk>"]]
    assert corpus.parts["test"].header.unknown == 10


def test_a_break_is_known_among_a_limited_number_of_words(tmp_path: Path) -> None:
    text = ("the cat and the dog " * 5 + "\n\n") * 20
    data = DataSettings(vocabulary="words", breaks="paragraphs", vocabulary_size=5)
    corpus = prepare([text], data, tmp_path)
    assert corpus.vocabulary.to_json()["words"] == ["the", "\n\n"]
    assert "the <unk>\n\nthe <unk> <unk>" in written(corpus, "test")[0]


@pytest.mark.parametrize("size", [100, 258])
def test_a_size_that_byte_pairs_cannot_have(size: int, tmp_path: Path) -> None:
    data = DataSettings(vocabulary="byte-pairs", vocabulary_size=size)
    message = (
        "data.vocabulary: expected a size of at least 259, the 3 reserved ids and 256 bytes that "
        f"are always there, got {size}. Change data.vocabulary_size."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        prepare(["some text " * 20], data, tmp_path)


def test_byte_pairs_without_their_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    message = (
        r"^data\.vocabulary: byte pairs need the library tokenizers, .*; "
        r"pip install 'recurra\[tokens\]' brings it\.$"
    )
    with pytest.raises(DataError, match=message):
        prepare(["some text " * 20], DataSettings(vocabulary="byte-pairs"), tmp_path)


def test_an_error_of_the_texts_is_not_one_of_byte_pairs() -> None:
    pytest.importorskip("tokenizers")

    def texts() -> Iterator[str]:
        yield "some text " * 20
        raise DataError("here: line 7 is gone.")

    with pytest.raises(DataError, match=r"^here: line 7 is gone\.$"):
        vocabulary_of(texts(), DataSettings(vocabulary="byte-pairs"))


def test_files_and_folders_are_given(tmp_path: Path, small_pieces: None) -> None:
    for folder, name in (("one", "emma"), ("one", "persuasion"), ("two", "ivanhoe")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.txt").write_text(f"{name} " * 200)
    data = DataSettings(conditions=["folder", "file"], split="tails")
    corpus = prepare(open_source(tmp_path, data), data, tmp_path / "ids")
    assert corpus.labels["file"].labels == ("emma", "ivanhoe", "persuasion")
    assert corpus.labels["folder"].labels == ("one", "two")
    for part in ("training", "validation", "test"):
        texts = written(corpus, part)
        assert [[name in text for name in ("emma", "persuasion", "ivanhoe")] for text in texts] == (
            np.eye(3, dtype=bool).tolist()
        )
        assert labels_of(corpus, part) == [
            ["one", "emma"],
            ["one", "persuasion"],
            ["two", "ivanhoe"],
        ]


def test_a_first_letter_is_that_of_the_document(tmp_path: Path, small_pieces: None) -> None:
    for name in ("xavier", "yvonne"):
        (tmp_path / f"{name}.txt").write_text(f"{name} is here. " * 101)
    data = DataSettings(conditions=["first_letter"], split="tails")
    corpus = prepare(open_source(tmp_path, data), data, tmp_path / "ids")
    assert corpus.labels["first_letter"].labels == ("x", "y")
    assert labels_of(corpus, "training") == labels_of(corpus, "test") == [["x"], ["y"]]


def test_a_column_goes_before_what_is_made(tmp_path: Path) -> None:
    known = [Document("a" * 40, "x", {"first_letter": "own"})]
    corpus = prepare(known, DataSettings(conditions=["first_letter"]), tmp_path)
    assert corpus.labels["first_letter"].labels == ("own",)


def test_a_document_in_several_parts_and_blocks(tmp_path: Path) -> None:
    known = [Document("abcdefghij" * 4, "x", {"k": "one"}), Document("k" * 10, "y", {"k": "two"})]
    corpus = prepare(known, DataSettings(conditions=["k"], split="blocks", block=2), tmp_path)
    assert written(corpus, "test")[0] == "ij"
    assert written(corpus, "training") == ["abcdefghijabcdef", "abcdefghijabcdef", "k" * 10]
    assert labels_of(corpus, "training") == [["one"], ["one"], ["two"]]
    assert labels_of(corpus, "validation") == labels_of(corpus, "test") == [["one"], ["one"]]


def test_what_is_scored_is_limited_with_its_conditions(tmp_path: Path) -> None:
    data = DataSettings(conditions=["first_letter"], split="hash", scored=20)
    corpus = prepare(NAMES, data, tmp_path)
    part = corpus.parts["test"]
    assert part.given is not None
    assert len(part.given) == part.header.documents == len(part.documents()) < 20
    assert labels_of(corpus, "test") == [[name[0]] for name in written(corpus, "test")]
    assert part.header.count - 1 - part.header.documents >= 20


def test_distinct_documents_by_hash(tmp_path: Path) -> None:
    data = DataSettings(unit="line", split="hash", distinct=True)
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    corpus = prepare(open_source(tmp_path / "names.txt", data), data, tmp_path / "ids")
    parts = {name: written(corpus, name) for name in corpus.parts}
    assert sorted(sum(parts.values(), [])) == sorted(set(NAMES))  # noqa: RUF017
    assert all(hash_part(text) == name for name, texts in parts.items() for text in texts)
    everything = prepare(NAMES, DataSettings(split="hash"), tmp_path / "all")
    assert set(written(everything, "test")) == set(parts["test"])


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_longest_document_is_bounded(tmp_path: Path, side: Any) -> None:
    # The second crosses several tenths of the text, at which it is read on.
    texts = ["abc", "abcdefghij" * 10, "ij"]
    data = DataSettings(
        batches="documents", maximum_length=15, truncate=side, validation=False, split="tail"
    )
    corpus = prepare(texts, data, tmp_path)
    lengths = [len(ids) for ids in corpus.parts["training"].documents()]
    assert lengths == [3, 15]
    assert [part.header.characters for part in corpus.parts.values()] == [18, 10]
    assert corpus.parts["training"].header.truncated == 1


def test_reading_decides_the_batches(tmp_path: Path) -> None:
    data = DataSettings(conditions=["first_letter"])
    part = prepare(NAMES, data, tmp_path / "w").parts["training"]
    windows = part.batches(rows=4, window=8, seed=3)
    assert isinstance(windows, Windows)
    assert windows.batch(0).inputs.given.shape == (8, 4, 1)
    data = DataSettings(conditions=["first_letter"], batches="documents")
    corpus = prepare(NAMES, data, tmp_path / "d")
    buckets = corpus.parts["training"].batches(rows=4, window=8, seed=3)
    assert isinstance(buckets, Buckets)
    want = Buckets(corpus.parts["training"].ids, rows=4, seed=3)
    assert torch.equal(buckets.batch(5).inputs.ids.values, want.batch(5).inputs.values)


@pytest.mark.parametrize(
    ("source", "how", "kind", "message"),
    [
        (NAMES, {"conditions": ["topic"]}, DataError, "document 0: nothing is known as 'topic'"),
        (NAMES, {"conditions": ["text"]}, SettingError, "'text' is the text itself"),
        (
            ["a" * 100],
            {"vocabulary": "words"},
            DataError,
            "every part, none is left for validation",
        ),
        (["ab"] * 50, {"split": "hash"}, DataError, "every part, none is left for"),
        ([], {}, DataError, "at least 20 characters"),
        (NAMES, {"vocabulary_size": 5}, DataError, "at most 5 ids .*has 15"),
        (
            [Document("a", "here"), Document("b" * 30, "here", goes_on=True)],
            {"distinct": True},
            SettingError,
            "whole documents, got a piece of here",
        ),
    ],
)
def test_what_cannot_be_prepared(
    source: Any, how: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message):
        prepare(source, DataSettings(**how), tmp_path / "ids")


@pytest.mark.parametrize("chunk", [3, 1000])
def test_counts_are_of_what_is_predicted(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recurra.tasks.language_model.corpus._CHUNK", chunk)
    corpus = prepare(["ab", "", "abca" * 9], DataSettings(validation=False), tmp_path / "data")
    documents = written(corpus, "training")
    counts = corpus.parts["training"].counts(len(corpus.vocabulary))
    expected = [0] * len(corpus.vocabulary)
    for document in documents:
        for symbol in (*corpus.vocabulary.encode(document), END):
            expected[symbol] += 1
    assert counts.tolist() == expected
    assert counts.sum() == corpus.parts["training"].count
    assert counts[END] == len(documents) > 1


# ------------------------------------------------------------------------------------ whole runs

CHANGES = [
    "model.hidden_size=8",
    "model.layers=1",
    "model.condition_size=4",
    "model.dropout=0.2",
    "model.dropout_word=0.1",
    "model.dropout_recurrent=0.1",
    "training.symbols=3000",
    "training.learning_rate=0.02",
    "training.batch_size=4",
    "training.window=16",
    "training.evaluations=3",
]


def rows_file(folder: Path, text: str) -> Path:
    """JSON lines with a topic that decides what follows."""
    path = folder / "rows.jsonl"
    rows = [
        {"text": line.upper() if n % 2 else line, "topic": ["even", "odd"][n % 2]}
        for n, line in enumerate(text.rstrip().split("\n"))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


SOURCES: dict[str, tuple[list[str], Callable[[Path, str], Path]]] = {}


def source(name: str, *changes: str) -> Callable[[Any], Any]:
    def keep(make: Callable[[Path, str], Path]) -> Callable[[Path, str], Path]:
        SOURCES[name] = (list(changes), make)
        return make

    return keep


@source("files", 'data.conditions=["file"]', "data.split=tails")
def files(folder: Path, text: str) -> Path:
    for name, part in (("emma", text[:2000]), ("ivanhoe", text[2000:].upper())):
        (folder / f"{name}.txt").write_text(part)
    return folder


@source("letters", 'data.conditions=["first_letter"]', "data.unit=line", "data.split=hash")
def letters(folder: Path, text: str) -> Path:
    (folder / "names.txt").write_text("\n".join(NAMES))
    return folder / "names.txt"


@source("column", 'data.conditions=["topic"]', "data.split=hash", "data.batches=documents")
def column(folder: Path, text: str) -> Path:
    return rows_file(folder, text)


@pytest.fixture(scope="module", params=SOURCES)
def run(
    request: pytest.FixtureRequest, text: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any, Path]:
    """A finished run with conditions, its recipe, and its data."""
    changes, make = SOURCES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "data").mkdir()
    data = make(folder / "data", text)
    recipe = load_recipe("language-model", [*CHANGES, *changes])
    done = train(recipe, open_source(data, recipe.data), folder / "run")
    assert not done.interrupted
    assert done.verdict
    return folder / "run", recipe, data


def left_by(path: Path) -> dict[str, Any]:
    """What a run leaves but its times."""
    folder = artifact.resolve(path, "last")
    log = [line.split(",") for line in (path / "log.csv").read_text().splitlines()]
    return {
        "weights": (folder / "model.safetensors").read_bytes(),
        "training": (folder / "training.safetensors").read_bytes(),
        "log": [line[:2] + line[3:-1] for line in log],
        "summary": (path / "summary.json").read_bytes(),
    }


def test_a_run_with_conditions_is_scored_as_it_was(
    run: tuple[Path, Any, Path], tmp_path: Path
) -> None:
    path, recipe, data = run
    (name,) = recipe.data.conditions
    loaded = artifact.load(path)
    assert loaded.model.conditions == (name,)
    assert set(loaded.fronts) == {"text", name}
    corpus = prepare(open_source(data, recipe.data), recipe.data, tmp_path)
    assert corpus.labels[name].to_json() == loaded.fronts[name].to_json()
    # The held-out documents, as a user would give them.
    texts = zip(written(corpus, "test"), labels_of(corpus, "test"), strict=True)
    held = [Document(text, "x", {name: label}) for text, (label,) in texts]
    summary = json.loads((path / "summary.json").read_text())["evaluations"]
    scored = evaluate(path, held)
    assert [row.nats for row in scored] == pytest.approx([row["nats"] for row in summary], rel=1e-6)
    assert [row.symbols for row in scored] == [row["symbols"] for row in summary]
    assert scored[0].symbols == sum(map(len, documents_of(corpus.parts["test"].ids))) + len(held)
    # Another condition, another score.
    others = loaded.fronts[name].labels[::-1]
    known = dict(zip(loaded.fronts[name].labels, others, strict=True))
    wrong = [Document(d.text, "x", {name: known.get(d.fields[name], "?")}) for d in held]
    assert abs(evaluate(path, wrong)[0].nats - scored[0].nats) > 1e-4 * scored[0].nats
    if name != "first_letter":
        with pytest.raises(DataError, match=f"nothing is known as '{name}'"):
            evaluate(path, [d.text for d in held])


def test_pieces_are_scored_as_their_whole(
    run: tuple[Path, Any, Path], small_pieces: None, tmp_path: Path
) -> None:
    path, recipe, _ = run
    name = recipe.data.conditions[0]
    pieces = [
        Document(text, "x", {name: "a"}, goes_on=number not in (0, 2))
        for number, text in enumerate(["abba", "baab", "aaa", "", "b"])
    ]
    whole = [Document(text, "x", {name: "a"}) for text in ("abbabaab", "aaab")]
    assert evaluate(path, pieces) == evaluate(path, whole)


def test_labels_that_no_training_document_has_are_told(tmp_path: Path) -> None:
    documents = [Document("abba baab\n", "x", {"topic": f"t{n}"}) for n in range(40)]
    said: list[str] = []
    changes = ['data.conditions=["topic"]', "training.symbols=64", "model.hidden_size=4"]
    recipe = load_recipe("language-model", changes)
    train(recipe, documents, tmp_path / "run", lambda report: said.append(report.message or ""))
    assert any("given what no training document has: 8 documents" in line for line in said)


def test_files_of_a_user_are_scored(run: tuple[Path, Any, Path]) -> None:
    path, recipe, data = run
    (scored, *_) = evaluate(path, open_documents(data, unit=recipe.data.unit))
    assert scored.symbols > 500
    assert 0 < scored.nats / scored.symbols < 4


def test_a_run_with_conditions_goes_on_as_if_it_had_not_stopped(
    run: tuple[Path, Any, Path], tmp_path: Path
) -> None:
    path, recipe, data = run
    documents = open_source(data, recipe.data)

    done = train(recipe, documents, tmp_path / "run", stopped_at(7))
    assert done.interrupted
    assert resume(tmp_path / "run", documents, stopped_at(20)).interrupted
    assert not resume(tmp_path / "run", documents).interrupted
    assert left_by(tmp_path / "run") == left_by(path)


def test_other_labels_are_other_data(text: str, tmp_path: Path) -> None:
    data = rows_file(tmp_path, text)
    changes, _ = SOURCES["column"]
    recipe = load_recipe("language-model", [*CHANGES, *changes, "training.symbols=300"])
    train(recipe, open_source(data, recipe.data), tmp_path / "run")
    data.write_text(data.read_text().replace("even", "odd", 1))
    longer = load_recipe("language-model", [*CHANGES, *changes, "training.symbols=400"])
    with pytest.raises(DataError, match="these are not the data"):
        resume(tmp_path / "run", open_source(data, recipe.data), recipe=longer)


# ----------------------------------------------------------------------------------------- memory

CHILD = """
import sys, threading, time
from pathlib import Path
from recurra.tasks.language_model import DataSettings, open_source, prepare

def anonymous():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024

folder, highest, going = Path(sys.argv[1]), 0, True

def look():
    global highest
    while going:
        highest = max(highest, anonymous())
        time.sleep(0.005)

def ready(name):
    data = DataSettings()
    corpus = prepare(open_source(folder / f"{name}.txt", data), data, folder / name)
    corpus.parts["training"].batches(rows=32, window=64, seed=0).batch(5)
    return corpus

ready("small")  # what is imported and kept once
before = anonymous()
looking = threading.Thread(target=look)
looking.start()
corpus = ready("large")
going = False
looking.join()
print(highest - before, corpus.characters)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc"
)
def test_memory_does_not_grow_with_the_text(text: str, tmp_path: Path) -> None:
    size = 60_000_000
    (tmp_path / "small.txt").write_text(text)
    (tmp_path / "large.txt").write_text((text * (size // len(text) + 1))[:size])
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    extra, characters = map(int, told.split())
    assert characters == size
    assert 0 < extra < 40_000_000


@pytest.mark.parametrize("long", [2999, 3000])
def test_what_takes_long_is_told(
    long: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "_LONG", long)
    told: list[str] = []
    prepare(["abc" * 1000], DataSettings(), tmp_path, told.append)
    parts = [f"encoding what is for {name}" for name in ("training", "validation", "test")]
    assert told == ([] if long == 3000 else ["3,000 characters; making the vocabulary", *parts])


def test_nul_bytes_are_read_where_symbols_are_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"some words\0and more\n" * 9)
    source = open_source(tmp_path / "a.txt", DataSettings(vocabulary="bytes"))
    assert "".join(document.text for document in source) == "some words\0and more\n" * 9
    with pytest.raises(DataError, match=r"a\.txt"):
        list(open_source(tmp_path / "a.txt", DataSettings()))


@pytest.mark.parametrize(
    ("how", "pieces"),
    [
        ({}, True),
        ({"split": "hash"}, False),
        ({"distinct": True}, False),
        ({"maximum_length": 9, "batches": "documents"}, False),
    ],
)
def test_documents_are_whole_where_they_are_told_apart(
    how: dict[str, Any], pieces: bool, tmp_path: Path
) -> None:
    (tmp_path / "long.txt").write_text("some words\n" * 200_000)
    documents = list(open_source(tmp_path / "long.txt", DataSettings(**how)))
    assert (len(documents) > 1) is pieces


def test_seldom_words_are_unknown(tmp_path: Path) -> None:
    texts = ["often often seldom often here here"] + ["often here"] * 20
    how = {"vocabulary": "words", "minimum_count": 2, "split": "tail"}
    words = prepare(texts, DataSettings(**how), tmp_path).vocabulary
    assert UNKNOWN in words.encode("seldom")
    assert UNKNOWN not in words.encode("often here")


def test_blank_lines_are_counted(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("some words\n\nmore words\n\n\n" * 40)
    data = DataSettings(unit="line")
    read = prepare(open_source(tmp_path / "lines.txt", data), data, tmp_path / "read")
    assert read.blank == 120
    assert prepare(["some words"] * 40, data, tmp_path / "given").blank == 0

"""Documents one by one: from text, JSON lines, tables and the Hub, and what is wrong with them."""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data import (
    Document,
    Documents,
    Normalizer,
    WordVocabulary,
    cut_gutenberg,
    hub_documents,
    joined,
    open_documents,
    read_text,
    rows,
)
from recurra.errors import DataError, SettingError

NOVEL = Path(__file__).parents[3] / "shared" / "data" / "warandpeace" / "warandpeace.txt"


def told(documents: Documents) -> list[str]:
    return [document.text for document in documents]


# -------------------------------------------------------------------------------------- documents


def test_documents_are_read_anew_each_time() -> None:
    begun: list[int] = []

    def read() -> Iterator[Document]:
        begun.append(1)
        yield from (Document(text, "here") for text in ("a", "", "b"))

    documents = Documents("here", read)
    assert begun == []
    assert told(documents) == told(documents) == ["a", "b"]
    assert documents.blank == 1
    assert len(begun) == 2
    first = iter(documents)
    assert next(first).text == next(iter(documents)).text == "a"


@pytest.mark.parametrize("found", [[], [""]])
def test_documents_without_any(found: list[str]) -> None:
    documents = Documents("the place", lambda: [Document(text, "x") for text in found])
    with pytest.raises(DataError, match=r"^the place: expected text, found none\."):
        list(documents)


# ------------------------------------------------------------------------------------------ texts


def test_units_of_a_text(tmp_path: Path) -> None:
    file = tmp_path / "some.txt"
    file.write_bytes(b"\r\n  one\r\ntwo \r\n \t\r\n\r\nthree\n\n\nfour\nfive")
    known = {"file": "some", "folder": tmp_path.name}
    assert list(open_documents(file)) == [Document(read_text(file), str(file), known)]
    lines = list(open_documents(str(file), unit="line"))
    assert [d.text for d in lines] == ["  one", "two ", "three", "four", "five"]
    assert [d.source for d in lines] == [f"{file}: line {n}" for n in (2, 3, 6, 9, 10)]
    found = open_documents(file, unit="line")
    assert [len(told(found)), found.blank] == [len(told(found)), found.blank] == [5, 5]
    paragraphs = list(open_documents(file, unit="paragraph"))
    assert [d.text for d in paragraphs] == ["  one\ntwo ", "three", "four\nfive"]
    assert [d.source for d in paragraphs] == [f"{file}: line {n}" for n in (2, 6, 9)]
    assert all(d.fields == {"file": "some", "folder": tmp_path.name} for d in lines)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("\r\na é\u2028"), max_size=20))
def test_lines_and_paragraphs_of_any_text(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "units.txt"
    file.write_text(text + "\nx", encoding="utf-8", newline="")
    lines = read_text(file).split("\n")
    assert told(open_documents(file, unit="line")) == [line for line in lines if line.strip()]
    joined = "\n".join(line if line.strip() else "" for line in lines)
    want = [part.strip("\n") for part in joined.split("\n\n") if part.strip()]
    assert told(open_documents(file, unit="paragraph")) == want


def test_folders_go_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n")
    (tmp_path / "b.txt").write_text("\n")
    (tmp_path / "c.txt").write_bytes(b"3\n4 \xff\n")
    begun = iter(open_documents(tmp_path, unit="line"))
    assert [next(begun).text for _ in range(3)] == ["1", "2", "3"]
    with pytest.raises(DataError, match=r"c\.txt: line 2, byte 4 \(0xff\) is not utf-8"):
        next(begun)
    (tmp_path / "b.jsonl").write_text('{"text": "j"}\n')
    assert told(open_documents(tmp_path, pattern="b.*")) == ["j", "\n"]
    assert told(open_documents(tmp_path, pattern="c.*", encoding="latin-1")) == ["3\n4 ÿ\n"]


@pytest.mark.parametrize("unit", ["file", "line", "paragraph"])
def test_texts_that_hold_nothing(tmp_path: Path, unit: Any) -> None:
    file = tmp_path / "empty.txt"
    file.write_bytes(b"")
    with pytest.raises(DataError, match=r"empty\.txt: expected text, found none"):
        list(open_documents(file, unit=unit))
    with pytest.raises(DataError, match=r"none\.txt: no such file or folder"):
        open_documents(tmp_path / "none.txt", unit=unit)
    with pytest.raises(DataError, match=r"expected files \*\.md, found none\. Endings.*\.txt"):
        open_documents(tmp_path, unit=unit, pattern="*.md")


def test_settings_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "a.csv").write_text("text\na\n")
    wrong: Any = "lines"
    with pytest.raises(SettingError, match=r"^unit: did you mean 'line'\? Known: file, line, para"):
        open_documents(tmp_path / "a.txt", unit=wrong)
    with pytest.raises(SettingError, match=r"column and fields: .*a\.txt is read as text.*\.csv"):
        open_documents(tmp_path / "a.txt", column="text")
    with pytest.raises(SettingError, match=r"column and fields"):
        open_documents(tmp_path / "a.txt", fields=[])
    with pytest.raises(SettingError, match=r"unit: each row of .*a\.csv is a document"):
        open_documents(tmp_path / "a.csv", unit="line")


# ------------------------------------------------------------------------- size, in time and space


def test_a_line_of_ten_megabytes(tmp_path: Path) -> None:
    def seconds(size: int) -> float:
        line = "é" * (size // 2)
        files = [tmp_path / f"line{end}" for end in (".txt", ".jsonl", ".csv")]
        files[0].write_text(line + "\nnext")
        files[1].write_text(json.dumps({"text": line}, ensure_ascii=False) + '\n{"text": "next"}\n')
        files[2].write_text(f'text\n"{line}"\nnext\n')
        started = time.process_time()
        assert [told(open_documents(files[0], unit="line")) == [line, "next"]] == [True]
        assert [told(open_documents(file)) == [line, "next"] for file in files[1:]] == [True] * 2
        return time.process_time() - started

    # Sixteen times the text; if it were quadratic, 256 times the time.
    small, large = seconds(640_000), seconds(10_240_000)
    assert large < 64 * small + 0.5


@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv", "parquet"])
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, kind: str) -> None:
    def peak(rows: int) -> int:
        file = tmp_path / f"{rows}.{kind}"
        lines = [f"row {number} of a corpus, " * 4 for number in range(rows)]
        if kind == "parquet":
            write_parquet(file, text=lines)
        elif kind == "csv":
            file.write_text("\n".join(["text", *(f'"{line}"' for line in lines)]))
        else:
            wrap = json.dumps if kind == "jsonl" else lambda row: row["text"]
            file.write_text("\n".join(wrap({"text": line}) for line in lines))
        documents = open_documents(file, unit="line" if kind == "txt" else "file")
        del lines
        tracemalloc.start()
        try:
            assert sum(1 for _ in documents) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)  # what is imported and cached once
    small, large = peak(3_000), peak(24_000)  # 0.3 MB and 2.4 MB of text
    assert large < small + 1_500_000
    assert large < 2_200_000


# ------------------------------------------------------------------------------------- JSON lines


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".json", ".JSONL"])
def test_json_lines(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"some{ending}"
    file.write_bytes(
        '\ufeff{"text": "a\\nb", "topic": "x", "n": [1]}\r\n\n'.encode()
        + ' {"n": 2, "text": "é\u2028"}\n'.encode()
    )
    first, second = open_documents(file)
    origin = {"file": "some", "folder": tmp_path.name}
    assert first == Document("a\nb", f"{file}: line 1", {"topic": "x", "n": [1], **origin})
    assert second == Document("é\u2028", f"{file}: line 3", {"n": 2, **origin})
    assert [d.fields for d in open_documents(file, fields=["n"])] == [{"n": [1]}, {"n": 2}]
    (topic, _) = (d for d in open_documents(file, fields=[]))
    assert topic.fields == {}
    with pytest.raises(DataError, match=r"line 3: no column 'topic'; .*Known: n, text$"):
        list(open_documents(file, fields=["topic"]))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            b'{"text": "a"',
            r"line 3: expected one object a line, such as \{\"text\": \"\.\.\.\"\}; "
            r"this is not JSON: Expecting ',' delimiter at character 13\.",
        ),
        (b"{'text': 'a'}", "line 3: .*this is not JSON: Expecting property name.* at character 2"),
        (b"text", "line 3: .*this is not JSON: Expecting value at character 1"),
        (b'["text"]', "line 3: expected one object a line, .*this holds a list"),
        (b"7", "line 3: .*this holds a int"),
        (b"[" * 100_000, "line 3: .*this cannot be read: "),
        (b'{"n": ' + b"9" * 5000 + b"}", "line 3: .*this cannot be read: "),
        (
            b'{"txt": "a", "topic": 1}',
            r"line 3: no column 'text' \(data\.column\); did you mean 'txt'\? Known: topic, txt",
        ),
        (b"{}", r"line 3: no column 'text' \(data\.column\); Known: none$"),
        (b'{"text": null}', "line 3: expected text in 'text', got nothing"),
        (b'{"text": 7}', "line 3: expected text in 'text', got 7.*leave that row out"),
        (b'{"text": "\xff"}', r"line 3, byte 29 \(0xff\) is not utf-8"),
        (b'{"text": "\0"}', "NUL byte at byte 29"),
        (b'{"text": "a", "text": "b"}', "line 3: .*this cannot be read: 'text' stands in it twice"),
    ],
)
def test_broken_json_lines(tmp_path: Path, line: bytes, message: str) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_bytes(b'{"text": "fine"}\r\n\n' + line + b'\n{"text": "never read"}\n')
    begun = iter(open_documents(file))
    assert next(begun).text == "fine"
    with pytest.raises(DataError, match=message) as caught:
        next(begun)
    assert str(caught.value).startswith(f"{file}: ")
    assert len(str(caught.value)) < 500


def test_rows_know_their_file_and_folder_and_a_column_goes_first(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "anna.jsonl").write_text('{"text": "a"}\n{"text": "b", "file": "own"}\n')
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "bert.csv").write_text("text,folder\nc,\n")
    assert [dict(d.fields) for d in open_documents(tmp_path, pattern="*.*")] == [
        {"file": "anna", "folder": "one"},
        {"file": "own", "folder": "one"},
        {"file": "bert", "folder": ""},
    ]
    # A column with the text is no label, whatever its name.
    (tmp_path / "text.csv").write_text("file,n\nwords,1\n")
    (document,) = open_documents(tmp_path / "text.csv", column="file")
    assert (document.text, document.fields) == ("words", {"n": "1", "folder": tmp_path.name})


# ------------------------------------------------------------------------------------------ tables


def test_csv(tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_bytes(
        b'\xef\xbb\xbftopic,text,n\r\nx,"a ""b"",\r\nc",1\r\n\r\nNA,null,\r\n,\xc3\xa9,2'
    )
    origin = {"file": "some", "folder": tmp_path.name}
    assert list(open_documents(file)) == [
        Document('a "b",\nc', f"{file}: line 2", {"topic": "x", "n": "1", **origin}),
        Document("null", f"{file}: line 5", {"topic": "NA", "n": "", **origin}),
        Document("é", f"{file}: line 6", {"topic": "", "n": "2", **origin}),
    ]
    topics = open_documents(file, column="topic", fields=["n"])
    assert [(d.text, d.fields) for d in topics] == [("x", {"n": "1"}), ("NA", {"n": ""})]
    file = tmp_path / "some.tsv"
    file.write_text('text\ttopic\na, b\tx\n"a\t"\ty\n')
    assert told(open_documents(file)) == ["a, b", "a\t"]
    (tmp_path / "other.csv").write_text('text;n\n"a;b, c";1\n')
    (other,) = open_documents(tmp_path / "other.csv", separator=";")
    assert (other.text, other.fields["n"]) == ("a;b, c", "1")
    for wrong in ("", ";;", '"', "\n"):
        with pytest.raises(SettingError, match=r"^separator: expected one character"):
            open_documents(tmp_path / "other.csv", separator=wrong)
    (tmp_path / "other.txt").write_text("text")
    with pytest.raises(SettingError, match=r"^separator: .*other\.txt is no table in text"):
        open_documents(tmp_path / "other.txt", separator=";")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text('",\na\t é', min_size=1), min_size=2, max_size=2), min_size=1))
def test_any_table_that_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    with open(file, "w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([["text", "more"], *rows])
    assert [[d.text, d.fields["more"]] for d in open_documents(file)] == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("words,topic\na,b\n", r"bad\.csv: no column 'text' \(data\.column\); Known: topic, words"),
        (
            "texts,topic\na,b\n",
            r"bad\.csv: no column 'text' \(data\.column\); did you mean 'texts'\?",
        ),
        (
            "text;topic\na;b\n",
            r"expected cells with ',' between them, the first row has ';': 'text;topic'\. "
            r'Say data\.separator=";"\.',
        ),
        ("a\ttext\nb\tc\n", r'the first row has .\\t.: .*Say data\.separator="\\t"\.'),
        ("words\na\n", r"bad\.csv: no column 'text' \(data\.column\); Known: words"),
        ("text,text\na,b\n", "expected each column once, 'text' is there 2 times among text, text"),
        ("text,n\nfine,1\n\na,b,c\n", "line 4: expected 2 cells as in the first row, got 3"),
        ("text,n\nfine,1\na\n", "line 3: expected 2 cells as in the first row, got 1"),
        ('text\nfine\n"a"b\n', "the row that begins on line 3 is no row of a table"),
        ('text\nfine\n"never\nclosed\n', "the row that begins on line 3 is no row.*end of data"),
        ("text\n", r"bad\.csv: expected text, found none"),
        ("", r"bad\.csv: expected text, found none"),
        ("text\nfine\n\udcff\n", r"bad\.csv: line 3, byte 10 \(0xff\) is not utf-8"),
        ("text\n\0\n", r"bad\.csv: expected text, found a NUL byte at byte 5: a binary file"),
    ],
)
def test_broken_csv(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(content, encoding="utf-8", errors="surrogateescape")
    limit = csv.field_size_limit()
    with pytest.raises(DataError, match=message):
        list(open_documents(file))
    assert csv.field_size_limit() == limit


def test_a_quote_that_is_never_closed_does_not_swallow_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text('text\n"never closed\n' + "more\n" * 1000)
    monkeypatch.setattr(rows, "_CELL", 200)
    with pytest.raises(
        DataError, match=r"begins on line 2 .*field larger than field limit \(200\)"
    ):
        list(open_documents(file))


def write_parquet(file: Path, **columns: Any) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra `data` is not installed")
    import pyarrow.parquet as parquet

    parquet.write_table(pyarrow.table(columns), file, row_group_size=500)


def test_parquet(tmp_path: Path) -> None:
    file = tmp_path / "so[me]*.parquet"
    count = 1300
    write_parquet(
        file, text=[f"é {n}" for n in range(count)], topic=["x", None] * 650, n=range(count)
    )
    documents = open_documents(file)
    assert told(documents) == told(documents) == [f"é {n}" for n in range(count)]
    origin = {"file": "so[me]*", "folder": tmp_path.name}
    first = Document("é 0", f"{file}: row 1", {"topic": "x", "n": 0, **origin})
    assert next(iter(documents)) == first
    assert list(documents)[-1].source == f"{file}: row 1300"
    assert next(iter(open_documents(file, fields=["n"]))).fields == {"n": 0}
    assert next(iter(open_documents(file, fields=iter(["n", "text"])))).fields == {"n": 0}
    with pytest.raises(DataError, match=r"row 1: expected text in 'n', got 0"):
        list(open_documents(file, column="n"))
    with pytest.raises(DataError, match=r"row 2: expected text in 'topic', got nothing"):
        list(open_documents(file, column="topic"))
    import pyarrow

    twice = pyarrow.table([["a"], ["b"]], names=["text", "text"])
    pyarrow.parquet.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(DataError, match=r"expected each column once, 'text' is there 2 times"):
        list(open_documents(tmp_path / "twice.parquet"))
    for absent in ({"column": "topics"}, {"fields": ["topics"]}):
        with pytest.raises(DataError, match=r"did you mean 'topic'\? Known: n, text, topic"):
            list(open_documents(file, **absent))


@pytest.mark.parametrize("raw", [b"", b"PAR1garbagePAR1", b"text\na\n"])
def test_broken_parquet(tmp_path: Path, raw: bytes) -> None:
    pytest.importorskip("pyarrow", reason="the extra `data` is not installed")
    (tmp_path / "bad.parquet").write_bytes(raw)
    with pytest.raises(DataError, match=r"bad\.parquet: cannot be read as Parquet \("):
        list(open_documents(tmp_path / "bad.parquet"))


def test_parquet_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some.parquet").write_bytes(b"PAR1")
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match=r"Parquet files need .* pyarrow.*'recurra\[data\]'"):
        list(open_documents(tmp_path / "some.parquet"))


# --------------------------------------------------------------------------------------------- hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A Hub without a network: what it was asked for, and three rows of an answer."""
    datasets = pytest.importorskip("datasets", reason="the extra `data` is not installed")
    asked: list[Any] = []

    def rows() -> Iterator[dict[str, Any]]:
        yield from ({"text": f"row {n}", "topic": "x", "n": n} for n in range(3))

    def load(name: str, config: str | None, *, split: str, streaming: bool) -> Any:
        asked.append((name, config, split, streaming))
        if "nobody" in name:
            raise datasets.exceptions.DatasetNotFoundError("doesn't exist\non the Hub")
        kinds = {"text": "string", "topic": "string", "n": "int64"}
        features = {key: datasets.Value(kind) for key, kind in kinds.items()}
        known = datasets.Features(features) if "untold" not in name else None
        return datasets.IterableDataset.from_generator(rows, features=known)

    monkeypatch.setattr(datasets, "load_dataset", load)
    return asked


@pytest.mark.parametrize("name", ["some/told", "some/untold"])
def test_a_data_set_of_the_hub(hub: list[Any], name: str) -> None:
    documents = hub_documents(name, fields=["topic"], config="small", split="test")
    assert told(documents) == told(documents) == ["row 0", "row 1", "row 2"]
    assert hub == [(name, "small", "test", True)]
    place = f"data set '{name}': row 1"
    assert next(iter(documents)) == Document("row 0", place, {"topic": "x"})
    assert next(iter(hub_documents(name))).fields == {"topic": "x", "n": 0}
    assert told(open_documents(f"hub:{name}")) == told(documents)
    assert list(open_documents(Path(f"hub:{name}:test"), fields=["topic"])) == list(documents)
    assert [split for *_, split, _ in hub[-2:]] == ["train", "test"]
    with pytest.raises(SettingError, match="each row is a document"):
        open_documents(f"hub:{name}", unit="line")
    with pytest.raises(
        DataError, match=rf"'{name}'.*no column 'topics' \(data\.column\); did you mean 'topic'\?"
    ):
        list(hub_documents(name, column="topics"))


def test_a_data_set_that_cannot_be_had(hub: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError) as caught:
        hub_documents("nobody/nothing")
    assert str(caught.value) == (
        "data set 'nobody/nothing', split 'train': cannot be read (doesn't exist). It is fetched "
        "over the network; without one, read a file of it."
    )
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"data sets of the Hub need .*'recurra\[data\]'"):
        hub_documents("some/told")


# --------------------------------------------------------------------------------------- gutenberg

BOOK = """\ufeffThe Project Gutenberg EBook of X

*** START OF THIS PROJECT GUTENBERG EBOOK X ***


  CHAPTER I

It *** was. \x20

*** END OF THIS PROJECT GUTENBERG EBOOK X ***
***** This file *****
*** START: FULL LICENSE ***
"""


def test_gutenberg_by_hand() -> None:
    cut = "  CHAPTER I\n\nIt *** was.\n"
    assert cut_gutenberg(BOOK) == cut
    assert cut_gutenberg(BOOK.replace("OF THIS", "OF THE").replace("BOOK X", "BOOK 26")) == cut
    assert cut_gutenberg(BOOK.replace("*** START OF", "***START OF")) == cut
    assert cut_gutenberg(BOOK.replace("EBOOK X ***", "EBOOK A LONG\nTITLE ***")) == cut
    ended = "was.\n\n\nEnd of the Project Gutenberg EBook of X,\nby Y\n"
    assert cut_gutenberg(BOOK.replace("was.", ended)) == cut
    unclean = cut_gutenberg(BOOK.replace("\n", "\r\n"))
    assert unclean.replace("\r\n", "\n") == cut


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("*** START OF", "START OF", r"^a\.txt: expected one line '\*\*\* START OF .* found 0\."),
        ("*** END OF", "END OF", r"^a\.txt: expected one line '\*\*\* END OF .* found 0\."),
        ("It ***", BOOK, r"START OF .* found 2 \(lines 3, 10\)"),
        ("It", "*** END OF THE PROJECT GUTENBERG EBOOK X ***\n", r"END .* found 2 \(lines 8, 11\)"),
        ("*** START OF", "x *** START OF", "START OF .* found 0"),
    ],
)
def test_gutenberg_markers_that_are_not_there(old: str, new: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        cut_gutenberg(BOOK.replace(old, new), source="a.txt")


def test_gutenberg_markers_the_wrong_way_round() -> None:
    turned = (
        BOOK.replace("START OF", "x").replace("END OF", "START OF").replace("x THIS", "END OF THIS")
    )
    with pytest.raises(
        DataError, match=r"expected START before END, found END on line 3 and START on line 10"
    ):
        cut_gutenberg(turned)


@pytest.mark.skipif(not NOVEL.exists(), reason="the novel is not beside this checkout")
def test_words_of_a_novel() -> None:
    text = cut_gutenberg(read_text(NOVEL))
    assert text.startswith("An Anonymous Volunteer")
    assert "Gutenberg" not in text
    cut = len(text) * 9 // 10
    rules = Normalizer(lower=True, breaks="paragraphs")
    made = WordVocabulary.of([text[:cut]], minimum=3, normalizer=rules)
    ids = made.encode(text[cut:])
    assert 8_600 < len(made) < 8_900
    assert 0.037 < (ids == 0).mean() < 0.039
    assert made.encode(made.decode(ids)).tolist() == ids.tolist()


def test_lines_that_cross_the_pieces_a_file_is_read_in(tmp_path: Path) -> None:
    draw = random.Random(0)
    lines = ["".join(draw.choices("ab cé", k=draw.randrange(60))) for _ in range(20_000)]
    file = tmp_path / "many.txt"
    file.write_text("\n".join(lines), encoding="utf-8")
    assert file.stat().st_size > 600_000  # the pieces are of 262,144 bytes
    kept = [line for line in lines if line.strip()]
    assert told(open_documents(file, unit="line")) == kept
    assert "\n".join(told(open_documents(file, unit="paragraph"))).split("\n") == kept


def test_several_sources_one_after_the_other(tmp_path: Path) -> None:
    for name, text in (("b", "b1\n\nb2"), ("a", "a1\n\na2\n\n\n"), ("empty", "\n\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    sources = {name: open_documents(tmp_path / f"{name}.txt", unit="line") for name in "ba"}
    both = joined(list(sources.values()))
    for _ in range(2):  # as often as they are asked for
        assert [document.text for document in both] == ["b1", "b2", "a1", "a2"]
        assert both.blank == sum(source.blank for source in map(counted, sources.values()))
    assert joined([sources["a"]]) is sources["a"]
    empty = open_documents(tmp_path / "empty.txt", unit="line")
    with pytest.raises(DataError, match=r"empty\.txt: expected text, found none"):
        list(joined([sources["a"], empty]))


def counted(source: Documents) -> Documents:
    list(source)
    return source


# -------------------------------------------------------------------------- gzip, without header


ROWS = [{"text": "Ünï one", "topic": "a"}, {"text": "two", "topic": "b"}]
PACKED = {
    "book.txt.gz": ("Ünï one\ntwo", {"unit": "line"}),
    "rows.csv.gz": ("text,topic\nÜnï one,a\ntwo,b\n", {}),
    "rows.TSV.GZ": ("text\ttopic\nÜnï one\ta\ntwo\tb\n", {}),
    "rows.jsonl.gz": ("\n".join(map(json.dumps, ROWS)), {}),
}


@pytest.mark.parametrize("name", PACKED)
def test_what_gzip_holds_is_read_as_what_it_is(name: str, tmp_path: Path) -> None:
    text, how = PACKED[name]
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()))
    found = list(open_documents(path, **how))
    assert [document.text for document in found] == ["Ünï one", "two"]
    if not how:
        assert [document.fields["topic"] for document in found] == ["a", "b"]
    assert {document.fields["file"] for document in found} == {name.partition(".")[0]}


def test_a_packed_file_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "long.txt.gz"
    text = "one two three\n" * 60_000
    path.write_bytes(gzip.compress(text.encode()))
    found = list(open_documents(path, pieces=True))
    assert len(found) > 2
    assert "".join(document.text for document in found) == text


@pytest.mark.parametrize("name", ["a.txt.gz", "a.csv.gz", "a.jsonl.gz"])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda raw: raw[: len(raw) // 2], "ends before what it holds does"),
        (lambda raw: raw[:-4], "ends before what it holds does"),
        (lambda raw: raw[:30] + bytes(40) + raw[70:], "damaged"),
        (lambda raw: b"text,topic\nplain,a\n", "is no gzip file"),
    ],
    ids=["half", "tail", "holes", "plain"],
)
def test_gzip_that_is_damaged(
    name: str, spoil: Callable[[bytes], bytes], said: str, tmp_path: Path
) -> None:
    draw = random.Random(0)
    rows = [f'{{"text": "{draw.random()}"}}' for _ in range(200)]
    text = "\n".join(rows if "json" in name else ["text", *map(str, range(200))])
    path = tmp_path / name
    path.write_bytes(spoil(gzip.compress(text.encode())))
    with pytest.raises(DataError, match=rf"{re.escape(str(path))}: .*{said}"):
        list(open_documents(path))


def test_parquet_in_gzip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(b"PAR1"))
    with pytest.raises(DataError, match="Parquet inside gzip cannot be read; unpack it first"):
        list(open_documents(tmp_path / "a.parquet.gz"))


def test_a_table_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,first one\nb,second\n")
    found = list(open_documents(path, header=False, column=1))
    assert [(d.text, d.fields["0"]) for d in found] == [("first one", "a"), ("second", "b")]
    assert [d.text for d in open_documents(path, header=False, column="0")] == ["a", "b"]
    alone = tmp_path / "rows.tsv"
    alone.write_text("Well, one\nand; two\n")
    assert [d.text for d in open_documents(alone, header=False, column=0)] == [
        "Well, one",
        "and; two",
    ]


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"header": False}, SettingError, "from 0 on, for example data.column=0; got none"),
        ({"header": False, "column": "text"}, SettingError, "from 0 on.*got 'text'"),
        ({"header": False, "column": -1}, SettingError, "from 0 on.*got -1"),
        ({"header": False, "column": 2}, DataError, r"no column '2' \(data.column\); .*0, 1"),
        ({"column": 0}, SettingError, "got the number 0.*data.header=false"),
    ],
    ids=str,
)
def test_columns_without_a_header_that_cannot_be(
    how: dict[str, Any], error: type[Exception], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,first one\nb,second\n")
    with pytest.raises(error, match=said):
        list(open_documents(path, **how))


def test_a_header_is_of_tables_in_text(tmp_path: Path) -> None:
    for name in ("a.txt", "a.jsonl", "a.parquet"):
        (tmp_path / name).write_text("x")
        with pytest.raises(SettingError, match=r"header: .* is no table in text"):
            open_documents(tmp_path / name, header=False, column=0)

"""Text from files and folders: what is read, and where it is said to be wrong."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data import find_files, open_documents, read_lines, read_pieces, read_text, readers
from recurra.errors import DataError

BOM = b"\xef\xbb\xbf"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.txt"


def unix(text: str) -> str:
    """Line ends as ``\\n``, character by character."""
    out: list[str] = []
    before = ""
    for character in text:
        if character == "\r" or (character == "\n" and before != "\r"):
            out.append("\n")
        elif character != "\n":
            out.append(character)
        before = character
    return "".join(out)


# ------------------------------------------------------------------------------------------ text


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(st.sampled_from("\r\na é漢😀\u2028\x85\ufeff"), max_size=12),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-32-be", "gb18030"]),
)
def test_any_text_in_any_encoding(
    tmp_path_factory: pytest.TempPathFactory, text: str, encoding: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.txt"
    file.write_bytes(text.encode(encoding))
    want = unix(text).removeprefix("\ufeff")
    assert read_text(file, encoding=encoding) == read_text(str(file), encoding=encoding) == want


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
        (b"\r\r\n\n\r", "\n\n\n\n"),
        (b"no end", "no end"),
        (BOM + b"a\r\n", "a\n"),
        (BOM, ""),
        ("å\u2028b\x0c".encode(), "å\u2028b\x0c"),
        (b"", ""),
    ],
)
def test_line_ends_and_byte_order_marks(file: Path, raw: bytes, text: str) -> None:
    file.write_bytes(raw)
    for name in ("utf-8", "UTF-8", "utf8", "utf_8", "U8", "utf-8-sig"):
        assert read_text(file, encoding=name) == text


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [
        ("latin-1", b"caf\xe9\r\n"),
        ("cp1252", b"caf\xe9\r\n"),
        ("utf-16", "café\r\n".encode("utf-16")),
        ("utf-16-le", "\ufeffcafé\r\n".encode("utf-16-le")),
        ("UTF-16-BE", "café\r\n".encode("utf-16-be")),
        ("utf-32", "café\r\n".encode("utf-32")),
    ],
)
def test_other_encodings(file: Path, encoding: str, raw: bytes) -> None:
    file.write_bytes(raw)
    assert read_text(file, encoding=encoding) == "café\n"


@pytest.mark.parametrize(
    ("raw", "encoding", "line", "byte", "value"),
    [
        (b"\xff", "utf-8", 1, 0, "0xff"),
        (b"good\nb\xe9d\n", "utf-8", 2, 6, "0xe9"),
        (b"a\r\nb\r\n\xc3(", "utf-8", 3, 6, "0xc3"),
        (b"a\rb\rc\x80", "utf-8", 3, 5, "0x80"),
        (b"a\r\n\r\xfe", "utf-8", 3, 4, "0xfe"),
        (b"cut \xe2\x82", "utf-8", 1, 4, "0xe2"),
        ("é\né".encode() + b"\xff", "utf-8", 2, 5, "0xff"),
        (BOM + b"\xff", "utf-8", 1, 3, "0xff"),
        (BOM + b"a\r\nb\xff", "utf-8", 2, 7, "0xff"),
        (BOM + b"a\r\nb\xff", "utf_8", 2, 7, "0xff"),
        (BOM + b"a\r\nb\xff", "utf-8-sig", 2, 7, "0xff"),
        (b"a\nb\x81", "cp1252", 2, 3, "0x81"),
        (b"a\n\nb\xe9", "ascii", 3, 4, "0xe9"),
        ("a\n".encode("utf-16") + b"\x00\xdcb\x00", "utf-16", 2, 6, "0x00"),
        # U+0A05 has a byte 0x0a, and is no line end
        ("\u0a05\n".encode("utf-16-le") + b"b", "utf-16-le", 2, 4, "0x62"),
    ],
)
def test_where_a_file_is_no_text(
    file: Path, raw: bytes, encoding: str, line: int, byte: int, value: str
) -> None:
    file.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read_text(file, encoding=encoding)
    said = str(caught.value)
    assert said.startswith(f"{file}: line {line}, byte {byte} ({value}) is not {encoding} (")
    assert "--encoding latin-1" in said


@settings(max_examples=80, deadline=None)
@given(
    before=st.text(st.sampled_from("\r\naé漢😀"), max_size=10),
    mark=st.sampled_from([b"", BOM]),
    after=st.binary(max_size=5),
)
def test_place_of_the_first_bad_byte(
    tmp_path_factory: pytest.TempPathFactory, before: str, mark: bytes, after: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "bad.txt"
    good = mark + before.encode()
    file.write_bytes(good + b"\xff" + after.replace(b"\0", b"x").replace(b"\xfe", b"x"))
    line = unix(before).count("\n") + 1
    with pytest.raises(DataError, match=rf"line {line}, byte {len(good)} \(0xff\) is not utf-8"):
        read_text(file)


@pytest.mark.parametrize("before", [0, 5, 70_000])
def test_binary_files_are_refused(file: Path, before: int) -> None:
    file.write_bytes(b"x" * before + b"\0\x01\xff")
    with pytest.raises(DataError, match=rf"found a NUL byte at byte {before}: a binary file"):
        read_text(file)
    file.write_bytes("ab".encode("utf-16"))
    with pytest.raises(DataError, match=r"in UTF-16: read it with --encoding utf-16\."):
        read_text(file, encoding="latin-1")


PROSE = ("Tom said: “caf\xe9, na\xefve”.\n" * 9, "Том сказал: «да».\n" * 9, "一二三，四五。\n" * 9)


@pytest.mark.parametrize("text", [*PROSE, "ab"])
@pytest.mark.parametrize(
    "encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"]
)
def test_the_way_a_file_is_stored_is_named_and_reads_it(
    file: Path, text: str, encoding: str
) -> None:
    """With a byte order mark or without one; what the error says to write is right."""
    file.write_bytes(text.encode(encoding))
    for wrong in ("utf-8", "latin-1", *(["utf-16"] if encoding.startswith("utf-16-") else [])):
        with pytest.raises(DataError) as caught:
            read_text(file, encoding=wrong)
        told = re.search(r"--encoding ([\w-]+)\.$", str(caught.value))
        assert told, str(caught.value)
        assert told[1] == encoding
        assert read_text(file, encoding=told[1]) == text
        with pytest.raises(DataError, match=f"--encoding {encoding}"):  # nor as single NUL bytes
            read_text(file, encoding=wrong, nul=True)


@pytest.mark.parametrize(
    ("packed", "told"),
    [
        (gzip.compress(b"text\n" * 99), "this is compressed with gzip: unpack it first"),
        (bz2.compress(b"text\n" * 99), "this is compressed with bzip2"),
        (lzma.compress(b"text\n" * 99), "this is compressed with xz"),
        (b"PK\x03\x04\x14\0", r"this is a zip archive \(\.docx"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "this is a PDF: take its text out first"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", r"this is a picture \(PNG\)"),
        (b"a.txt".ljust(257, b"\0") + b"ustar\x0000", "this is a tar archive"),
    ],
    ids=["gzip", "bzip2", "xz", "zip", "PDF", "PNG", "tar"],
)
@pytest.mark.parametrize(
    "read", [read_text, lambda file: list(read_lines(file))], ids=["whole", "lines"]
)
def test_files_that_are_no_text_are_called_by_their_name(
    file: Path, packed: bytes, told: str, read: Callable[[Path], object]
) -> None:
    file.write_bytes(packed)
    with pytest.raises(DataError, match=rf"some\.txt: expected text, {told}"):
        read(file)


def test_a_text_that_begins_like_another_file_is_read(file: Path) -> None:
    file.write_text("BZhou wrote %PDF- and PAR1.")
    assert read_text(file) == file.read_text()


def test_a_nul_byte_is_read_where_it_is_wanted(file: Path) -> None:
    text = "some words, then one" + "\0" + "more\n" * 99
    file.write_text(text)
    with pytest.raises(DataError, match=r"NUL byte at byte 20: .* data\.vocabulary=bytes\.$"):
        read_text(file)
    assert read_text(file, nul=True) == text
    assert "\n".join(read_lines(file, nul=True)) + "\n" == text
    assert "".join(read_pieces(file, nul=True, size=3)) == text
    assert [d.text for d in open_documents(file, nul=True)] == [text]


@pytest.mark.parametrize("given", ["https://example.org/a.txt", "s3://bucket/a", "http:/a.b/c"])
def test_an_address_is_told_from_a_path(given: str) -> None:
    shown = re.escape(given.replace(":/", "://").replace(":///", "://"))
    for read in (find_files, lambda path: list(read_lines(path)), open_documents):
        with pytest.raises(DataError, match=rf"^{shown}: expected a file.* this is an address"):
            read(Path(given))


@pytest.mark.parametrize(
    "encoding",
    ["utf-9", "", "hex", "rot13", "undefined", "a\0b", "punycode", "IDNA", "unicode_escape"],
)
def test_unknown_encodings(file: Path, encoding: str) -> None:
    file.write_text("text")
    with pytest.raises(DataError, match=r"^encoding: no .*; known are for example utf-8"):
        read_text(file, encoding=encoding)


# ------------------------------------------------------------------------------------------ lines

PIECES = [1, 2, 3, 7, 1 << 18]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gb18030", "latin-1"]


@pytest.mark.parametrize("piece", PIECES)
@settings(max_examples=60, deadline=None)
@given(
    text=st.text(st.sampled_from("\r\na é漢😀\u2028\x85\x0c\ufeff"), max_size=12),
    encoding=st.sampled_from(ENCODINGS),
)
def test_lines_of_any_text(
    tmp_path_factory: pytest.TempPathFactory, piece: int, text: str, encoding: str
) -> None:
    if encoding == "latin-1":
        text = text.encode("latin-1", "ignore").decode("latin-1")
    file = tmp_path_factory.getbasetemp() / "lines.txt"
    file.write_bytes(text.encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "_CHUNK", piece)
        lines = list(read_lines(file, encoding=encoding))
    whole = read_text(file, encoding=encoding)
    assert lines == (whole.removesuffix("\n").split("\n") if whole else [])


@pytest.mark.parametrize("piece", PIECES)
@settings(max_examples=100, deadline=None)
@given(
    before=st.text(st.sampled_from("\r\naé漢😀"), max_size=10),
    mark=st.sampled_from([b"", BOM]),
    after=st.binary(max_size=5),
    encoding=st.sampled_from(["utf-8", "utf-16-le", "utf-32-be", "ascii", "gb18030"]),
)
def test_lines_say_as_well_where_a_file_is_no_text(
    tmp_path_factory: pytest.TempPathFactory,
    piece: int,
    before: str,
    mark: bytes,
    after: bytes,
    encoding: str,
) -> None:
    file = tmp_path_factory.getbasetemp() / "bad.txt"
    file.write_bytes(
        (mark if encoding == "utf-8" else b"") + before.encode(encoding, "replace") + after
    )
    try:
        want = read_text(file, encoding=encoding).removesuffix("\n").split("\n")
    except DataError as problem:
        want = str(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "_CHUNK", piece)
        try:
            got: object = list(read_lines(file, encoding=encoding)) or [""]
        except DataError as problem:
            got = str(problem)
    # A NUL byte behind the first bad byte is not looked for.
    assert got == want or (b"\0" in after and "NUL" in want and "is not" in str(got))


@pytest.mark.parametrize(("bad", "message"), [(b"\xff", "line 3"), (b"a\0", "NUL byte at byte 7")])
def test_lines_before_what_is_no_text_come_before_its_error(
    file: Path, bad: bytes, message: str
) -> None:
    file.write_bytes(b"ok\nok\n" + bad + b"\nok\n")
    lines = read_lines(file)
    assert [next(lines), next(lines)] == ["ok", "ok"]
    with pytest.raises(DataError, match=message):
        next(lines)


def test_lines_are_read_when_they_are_asked_for(file: Path) -> None:
    long = 1 << 19
    file.write_bytes(b"one\ntwo\n" + b"x" * long + b"\n" + b"y" * long + b"\xff\n")
    lines = read_lines(str(file))
    assert [next(lines), next(lines), len(next(lines))] == ["one", "two", long]
    with pytest.raises(DataError, match=rf"line 4, byte {2 * long + 9} \(0xff\) is not utf-8"):
        next(lines)
    for raw, encoding, message in [
        (b"a\0b", "utf-8", r"NUL byte at byte 1: a binary file"),
        (b"a\0b\0", "utf-16", r"some\.txt: .* --encoding utf-16-le\."),
        (b"\xd8\xff", "utf-16", r"not utf-16, which begins with .*say utf-16-le or utf-16-be"),
        (b"a", "utf-9", r"^encoding: no 'utf-9'"),
    ]:
        file.write_bytes(raw)
        with pytest.raises(DataError, match=message):
            list(read_lines(file, encoding=encoding))
    with pytest.raises(DataError, match=r"none\.txt: cannot be read \(No such file"):
        next(read_lines("none.txt"))


# ------------------------------------------------------------------------------ files and folders


def test_files_of_a_path(tmp_path: Path) -> None:
    fill(tmp_path, {"b.txt": b"", "a/c.txt": b"1", "d.md": b"2"})
    assert find_files(tmp_path) == [tmp_path / "a" / "c.txt", tmp_path / "b.txt"]
    assert find_files(str(tmp_path / "d.md")) == [tmp_path / "d.md"]
    with pytest.raises(DataError, match="no such file or folder"):
        find_files(tmp_path / "e.txt")
    with pytest.raises(DataError, match=r"cannot be read \(File name too long\)"):
        find_files("n" * 5000)


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, raw in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)


def test_folder_with_nested_files_sorted_by_path(tmp_path: Path) -> None:
    fill(
        tmp_path,
        {
            "b.txt": b"2",
            "c/deep/er.txt": b"3\r\n",
            "a.txt": BOM + b"1",
            "empty.txt": b"",
            "only a mark.txt": BOM,
            "z.md": b"note",
            "c.txt/inside.txt": b"4",
        },
    )
    names = ["a.txt", "b.txt", "c/deep/er.txt", "c.txt/inside.txt"]
    assert [(d.text, d.source) for d in open_documents(tmp_path)] == [
        (text, str(tmp_path / name))
        for text, name in zip(["1", "2", "3\n", "4"], names, strict=True)
    ]

    def told(pattern: str) -> list[str]:
        return [d.text for d in open_documents(str(tmp_path), pattern=pattern)]

    assert told("*.md") == ["note"]
    assert told("[ab].*") == ["1", "2"]
    assert told("deep/*") == ["3\n"]


@pytest.mark.parametrize(
    ("files", "pattern", "message"),
    [
        ({}, "*.txt", r"expected files \*\.txt, found none\. It is empty\."),
        (
            {"a.md": b"1", "b.md": b"2", "sub/c.py": b"3", "Makefile": b"4"},
            "*.txt",
            r"found none\. Endings there: \.md \(2\), .*data\.pattern",
        ),
        ({"Makefile": b"4"}, "*.txt", r"Endings there: none \(1\)"),
        ({"a.txt": b"1"}, "*.TXT?", r"expected files \*\.TXT\?, found none"),
        ({"a.txt": b"1"}, "", r"expected files , found none\. Endings there: \.txt \(1\)"),
        ({"a.txt": b"1"}, "/a.txt", r"^pattern '/a\.txt': expected one like '\*\.txt'"),
        ({"a.txt": b"", "b/c.txt": BOM}, "*.txt", r": expected text, found none\."),
        ({"a.txt": b"fine", "b.txt": b"not\n\xff"}, "*.txt", r"b\.txt: line 2, byte 4 \(0xff\)"),
    ],
)
def test_folders_without_text(
    tmp_path: Path, files: dict[str, bytes], pattern: str, message: str
) -> None:
    fill(tmp_path, files)
    with pytest.raises(DataError, match=message):
        list(open_documents(tmp_path, pattern=pattern))


@pytest.mark.parametrize("raw", [b"", BOM])
def test_the_text_of_an_empty_file(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
    assert read_text(file) == ""


def test_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        find_files("none.txt")
    assert str(caught.value) == f"none.txt: no such file or folder (looked in {tmp_path})."
    with pytest.raises(DataError, match=r"none\.txt: cannot be read \(No such file"):
        read_text("none.txt")


def test_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="expected a file or a folder, this is neither"):
        find_files(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_without_permission(file: Path) -> None:
    file.write_text("secret")
    file.chmod(0)
    with pytest.raises(DataError, match=r"some\.txt: cannot be read \(Permission denied\)"):
        read_text(file)
    file.parent.chmod(0)
    try:
        with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
            find_files(file)
    finally:
        file.parent.chmod(0o700)


def test_lines_that_are_no_text_are_told_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbffirst\r\nf\xe9\rlast \xc3\xa9\n\nx")
    problems: list[DataError] = []
    lines = []
    for line in read_lines(path, bad=problems.append):
        lines.append((line, len(problems)))
    assert lines == [("first", 0), ("f\ufffd", 1), ("last é", 1), ("", 1), ("x", 1)]
    assert re.search(r"a.txt: line 2, its byte 1 \(0xe9\) is not utf-8 \(", str(problems[0]))
    assert list(read_lines(path, encoding="latin-1", bad=problems.append))[1] == "fé"
    assert len(problems) == 1
    path.write_bytes("a\nb".encode("utf-16") + b"\x00")
    with pytest.raises(DataError, match="is not utf-16"):
        list(read_lines(path, encoding="utf-16", bad=problems.append))

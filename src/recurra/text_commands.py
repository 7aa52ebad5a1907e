"""The commands ``score`` and ``complete``: lines in, lines out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.console import friendly, import_cells, is_input, print_json, say, source_of
from recurra.errors import SettingError
from recurra.options import (
    Encoding,
    Given,
    Import,
    Json,
    Mix,
    NGramName,
    Run,
    Which,
    path_argument,
    path_option,
)

if TYPE_CHECKING:
    from recurra.pipeline import ClozeAnswer, Completion, LineScore, PairScore, SymbolScores

__all__ = ["complete", "score"]

Lines = Annotated[
    list[Path] | None,
    path_argument(help="Files, line by line; - is standard input.", show_default=False),
]

Choices = Annotated[
    Path | None,
    path_option(help="Fill gaps: JSON lines with text, choices, answer; or -.", show_default=False),
]
Pairs = Annotated[
    Path | None,
    path_option(help="Which of two is likelier: CSV, TSV, JSON lines; or -.", show_default=False),
]


def score(
    run: Run,
    files: Lines = None,
    file: Annotated[
        list[Path] | None, path_option(help="Score each line of a file.", show_default=False)
    ] = None,
    text: Annotated[str | None, typer.Option(help="Score one line.", show_default=False)] = None,
    choices: Choices = None,
    pairs: Pairs = None,
    rank: Annotated[bool, typer.Option("--rank", help="The likeliest line first.")] = False,
    tokens: Annotated[bool, typer.Option("--tokens", help="Of each symbol, as a table.")] = False,
    no_end: Annotated[bool, typer.Option("--no-end", help="The end does not count.")] = False,
    json: Json = False,
    given: Given = None,
    model: NGramName = None,
    mix: Mix = False,
    which: Which = "best",
    encoding: Encoding = None,
    import_: Import = None,
) -> None:
    """Log-probability of each line; which of some words fits a gap, which of two is likelier."""
    with friendly():
        import_cells(import_)
        paths = [*(files or ()), *(file or ())]
        _check_score(paths, text, choices, pairs, rank=rank, tokens=tokens)
        from recurra.pipeline import (
            FilledLines,
            answer_cloze,
            given_conditions,
            open_text_model,
            rank_lines,
            read_cloze,
            read_pairs,
            score_lines,
            score_pairs,
            score_symbols,
        )

        opened = open_text_model(run, which=which, model=model, mix=mix)
        how: Any = {"end": not no_end, "given": given_conditions(given or ())}
        if choices is not None:
            questions = read_cloze(source_of(choices, encoding), encoding=encoding or "utf-8")
            _print_answers(answer_cloze(opened, questions, **how), json=json)
            return
        if pairs is not None:
            rows = read_pairs(source_of(pairs, encoding), encoding=encoding or "utf-8")
            scored = score_pairs(opened, rows, **how)
            _print_pairs(scored, json=json)
            return
        # Bytes know a NUL byte like any other.
        nul = opened.vocabulary.kind == "bytes"
        source = [text or ""] if not paths else _lines(paths, encoding or "utf-8", nul=nul)
        lines = FilledLines(source, _named(paths) if paths else "--text")
        if tokens:
            _print_symbols(score_symbols(opened, lines, **how), json=json, live=_live(paths))
        else:
            scores = score_lines(opened, lines, **how)
            _print_scores(rank_lines(scores) if rank else scores, json=json, live=_live(paths))
        if lines.blank:
            say(f"skipped blank lines: {lines.blank:,}")


def _check_score(
    paths: list[Path],
    text: str | None,
    choices: Path | None,
    pairs: Path | None,
    *,
    rank: bool,
    tokens: bool,
) -> None:
    """Refuse options of score that contradict each other."""
    if sum(source is not None for source in (paths or None, text, choices, pairs)) != 1:
        raise SettingError("score: expected one of --file, --text, --choices and --pairs")
    for option, asked in (("--rank", rank), ("--tokens", tokens)):
        if asked and not paths and text is None:
            raise SettingError(f"score: {option} is of --file and --text")
    if rank and tokens:
        raise SettingError("score: --rank is of lines, --tokens of their symbols; leave one")


def complete(
    run: Run,
    files: Lines = None,
    prompt: Annotated[str | None, typer.Option(help="What was typed so far.")] = None,
    count: Annotated[int, typer.Option(help="Number of suggestions.")] = 3,
    length: Annotated[int, typer.Option(help="Largest number of symbols of a line.")] = 100,
    json: Json = False,
    given: Given = None,
    model: NGramName = None,
    mix: Mix = False,
    which: Which = "best",
    encoding: Encoding = None,
    import_: Import = None,
) -> None:
    """Predictive typing: what the word and the line may become, with probabilities."""
    with friendly():
        import_cells(import_)
        if length < 1:
            raise SettingError(f"complete: expected a --length of at least 1, got {length}")
        if files and prompt is not None:
            raise SettingError("complete: expected a file or --prompt, got both")
        from recurra.pipeline import complete_lines, given_conditions, open_text_model

        opened = open_text_model(run, which=which, model=model, mix=mix)
        nul = opened.vocabulary.kind == "bytes"
        prompts = _lines(files, encoding or "utf-8", nul=nul) if files else [prompt or ""]
        conditions = given_conditions(given or ())
        found = complete_lines(opened, prompts, count=count, limit=length, given=conditions)
        for number, each in enumerate(found, 1):
            if told := opened.of_unknown(each.unknown):
                say(f"line {number}: {told}" if files else f"prompt: {told}")
            print_json(each.to_json()) if json else _print_completion(each, heading=bool(files))
            if _live(files):
                sys.stdout.flush()


def _lines(paths: list[Path], encoding: str, *, nul: bool) -> Iterable[str]:
    """The lines of files, one file after the other; of standard input as they come."""
    from recurra.data import ComingLines, read_lines

    if sum(map(is_input, paths)) > 1:
        raise SettingError("-: standard input can be read once; give it once")
    sources = [source_of(path, encoding, nul=nul) for path in paths]
    if len(sources) == 1 and isinstance(sources[0], ComingLines):
        return sources[0]
    return chain.from_iterable(read_lines(each, encoding=encoding, nul=nul) for each in sources)


def _live(paths: list[Path] | None) -> bool:
    """Whether somebody may wait for the answer to a line before there is another."""
    return any(map(is_input, paths or ()))


def _named(paths: list[Path]) -> str:
    return ", ".join("standard input" if is_input(path) else str(path) for path in paths)


def _print_scores(scores: Iterable[LineScore], *, json: bool, live: bool) -> None:
    unknown = 0
    for number, each in enumerate(scores):
        unknown += each.unknown
        if json:
            print_json(each.to_json())
        else:
            if number == 0:
                print("log-probability  symbols  nats/symbol  line")
            numbers = f"{each.log_prob:15.4f}  {each.symbols:7}  {each.nats_per_symbol:11.4f}"
            print(f"{numbers}  {each.text}")
        if live:
            sys.stdout.flush()
    _say_unknown(unknown)


def _print_symbols(lines: Iterable[SymbolScores], *, json: bool, live: bool) -> None:
    unknown, header = 0, not json
    for line in lines:
        for row in line.rows():
            unknown += row["id"] == 0
            if json:
                print_json(row)
                continue
            if header:
                print("\t".join(row))
                header = False
            told = row | {"symbol": _quoted(row["symbol"])}
            told |= {name: f"{row[name]:.6f}" for name in ("log_prob", "bits")}
            print("\t".join(map(str, told.values())))
        if live:
            sys.stdout.flush()
    _say_unknown(unknown)


def _quoted(symbol: str) -> str:
    r"""A symbol as JSON writes it; a quote in it is ``\u0022``, which no reader of tables parts."""
    import json

    return '"' + json.dumps(symbol, ensure_ascii=False)[1:-1].replace('\\"', "\\u0022") + '"'


def _say_unknown(unknown: int) -> None:
    if unknown:
        say(f"unknown symbols, counted as <unk>: {unknown:,}")


def _print_completion(each: Completion, *, heading: bool) -> None:
    if heading:
        print(f"--- {each.prompt}".rstrip())
    for kind, rows in (("words", each.words), ("lines", each.lines)):
        print(kind if rows else f"{kind}: none")
        for row in rows:
            print(f"{row.probability:12.4g}  {row.text}{'' if row.finished else ' ...'}")


def _print_pairs(scores: Iterable[PairScore], *, json: bool) -> None:
    from recurra.columns import aligned
    from recurra.pipeline import pair_accuracy

    def shown() -> Iterator[PairScore]:
        for each in scores:
            if json:
                print_json(each.to_json())
            yield each

    every, *groups = pair_accuracy(shown())
    told = f"accuracy: {every.accuracy:.4f} ({every.right:,} of {every.count:,})"
    say(told) if json else print(told)
    if groups and not json:
        rows = [("phenomenon", "accuracy", "right", "pairs", "ties")]
        for each in groups:
            right, count, tied = (f"{n:,}" for n in (each.right, each.count, each.tied))
            rows.append((each.phenomenon, f"{each.accuracy:.4f}", right, count, tied))
        print(aligned(rows, right=(1, 2, 3, 4)))
    if every.tied:
        say(f"ties, counted as wrong: {every.tied:,}")
    _say_unknown(every.unknown)


def _print_answers(answers: Iterable[ClozeAnswer], *, json: bool) -> None:
    right = asked = unknown = tied = 0
    for each in answers:
        if each.correct is not None:
            right, asked, tied = right + each.correct, asked + 1, tied + each.tied
        unknown += sum(each.unknown)
        if json:
            print_json(each.to_json())
        else:
            mark = {None: "", True: "right  ", False: "wrong  "}[each.correct]
            pairs = zip(each.cloze.choices, each.posterior, strict=True)
            shares = ", ".join(f"{choice} {share:.4f}" for choice, share in pairs)
            print(f"{'tied   ' if each.tied else mark}{each.choice}  ({shares})  {each.cloze.text}")
    if asked:
        told = f"accuracy: {right / asked:.4f} ({right} of {asked})"
        say(told) if json else print(told)
    if tied:
        say(f"ties, counted as wrong: {tied:,}")
    _say_unknown(unknown)

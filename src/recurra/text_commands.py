"""The commands of texts alone: ``generate``, ``score``, ``complete``, ``correct``, and others."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.console import (
    friendly,
    import_cells,
    is_input,
    print_json,
    print_texts,
    say,
    source_of,
    write,
)
from recurra.errors import SettingError
from recurra.options import (
    Encoding,
    Given,
    Import,
    Json,
    Length,
    Mix,
    NGramName,
    Run,
    Which,
    path_argument,
    path_option,
)

if TYPE_CHECKING:
    from recurra.pipeline import ClozeAnswer, Completion, LineScore, PairScore, SymbolScores

__all__ = ["complete", "correct", "export_ngram", "generate", "score"]

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


def generate(
    run: Run,
    prompt: Annotated[str, typer.Option(help="Text to go on from.")] = "",
    temperature: Annotated[
        float | None,
        typer.Option(help="0 always takes the likeliest; 1 if not given.", show_default=False),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw among the k likeliest only.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw among the likeliest that reach this share together.")
    ] = None,
    beam: Annotated[
        int | None, typer.Option(help="Search the likeliest text, following so many at once.")
    ] = None,
    length_penalty: Annotated[
        float | None, typer.Option(help="With --beam: the larger, the longer the texts.")
    ] = None,
    count: Annotated[int, typer.Option(help="Number of texts.")] = 1,
    length: Length = None,
    endless: Annotated[bool, typer.Option("--endless", help="Go on until Ctrl-C.")] = False,
    seed: Annotated[int | None, typer.Option(help="The same seed writes the same text.")] = None,
    given: Given = None,
    model: NGramName = None,
    mix: Mix = False,
    which: Which = "best",
    import_: Import = None,
) -> None:
    """Write on from a prompt; one text appears as it is written, several or --beam at the end."""
    with friendly():
        import_cells(import_)
        draws = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
        draws = {name: value for name, value in draws.items() if value is not None}
        _check_writing([*draws], beam, length_penalty, count, length, endless=endless)
        from recurra.pipeline import Writer, given_conditions, open_text_model

        writer = Writer(open_text_model(run, which=which, model=model, mix=mix))
        options: dict[str, Any] = {"given": given_conditions(given or ()), **draws}
        if not endless:
            options["limit"] = 500 if length is None else length
        if beam is not None:
            found = writer.search(
                prompt, width=beam, count=count, length_penalty=length_penalty or 0.0, **options
            )
            told = [
                f"log-probability {text.log_prob:.4f}{'' if text.finished else ', cut off'}"
                for text in found
            ]
            print_texts([prompt + text.text for text in found], told, several=count > 1)
        elif count > 1:
            texts = writer.write_several(prompt, count, **options)
            print_texts([prompt + text for text in texts], [""] * count, several=True)
        else:
            pieces = (writer.write_on if endless else writer.write)(prompt, **options)
            write(prompt)
            for piece in pieces:
                write(piece)
            write("\n")


def _check_writing(
    drawn: list[str],
    beam: int | None,
    length_penalty: float | None,
    count: int,
    length: int | None,
    *,
    endless: bool,
) -> None:
    """Refuse options of generate that contradict each other."""
    if beam is not None and drawn:
        raise SettingError(
            f"generate: --beam searches and draws nothing; leave --{drawn[0].replace('_', '-')}"
            " out, or --beam"
        )
    if beam is None and length_penalty is not None:
        raise SettingError("generate: --length-penalty is of --beam, which is not given")
    if count < 1:
        raise SettingError(f"generate: expected a --count of at least 1, got {count}")
    others = {"--beam": beam, "--length": length, "--count": count if count > 1 else None}
    if endless and (against := [name for name, value in others.items() if value is not None]):
        raise SettingError(f"generate: --endless has no end and is one; leave {against[0]} out")
    least = int(beam is not None)  # a search looks for an end
    if length is not None and length < least:
        raise SettingError(f"generate: expected a --length of at least {least}, got {length}")


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


def correct(
    run: Run,
    file: Annotated[
        Path | None, path_argument(help="Lines; standard input if - or left out.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="A line; may be repeated.", show_default=False)
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Least gain of an edit, in nats; 4 if not given.", show_default=False),
    ] = None,
    words: Annotated[
        Path | None,
        path_option(
            help="A text spelled well, such as what was trained on; else the model's own words.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    given: Given = None,
    model: NGramName = None,
    mix: Mix = False,
    which: Which = "best",
    encoding: Encoding = None,
    import_: Import = None,
) -> None:
    """English lines with the small edits that a language model finds much more probable.

    A line for each.
    """
    with friendly():
        import_cells(import_)
        if file is not None and text:
            raise SettingError("correct: expected a file or --text, got both")
        from recurra.pipeline import correct_lines, given_conditions, known_words, open_text_model

        opened = open_text_model(run, which=which, model=model, mix=mix)
        how: Any = {} if margin is None else {"margin": margin}
        how |= {"words": known_words(opened, words), "given": given_conditions(given or ())}
        nul = opened.vocabulary.kind == "bytes"
        source = text or _lines([file or Path("-")], encoding or "utf-8", nul=nul)
        for each in correct_lines(opened, source, **how):
            print_json(each.to_json()) if json else print(each.corrected)
            if not text and (file is None or is_input(file)):
                sys.stdout.flush()


def export_ngram(
    run: Run,
    out: Annotated[Path, path_option(help="The file to write.")],
    model: Annotated[
        str | None,
        typer.Option(help="Which n-gram of the run; its own, or the 5-gram.", show_default=False),
    ] = None,
    which: Which = "best",
    import_: Import = None,
) -> None:
    """Write an n-gram of a run as an ARPA file, for other toolkits."""
    with friendly():
        import_cells(import_)
        from recurra.pipeline import export_ngram as export

        export(run, out, which=which, model=model)


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

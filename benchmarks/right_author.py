"""Does a conditional model know who wrote it? One model of two authors, asked for each of them.

The last tenth of each text is held out and cut into windows of 200 characters. Each is scored twice
from the zero state, given either author; the lower loss names the author.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from harness import data, keep, machine_in_words
from trained import curve, described, held_out, measured, scores, trained

from recurra.data import cut_gutenberg, read_text
from recurra.pipeline import open_text_model, score_lines

TEXTS = {
    "shakespeare": "tinyshakespeare/input.txt",
    "tolstoy": "warandpeace/warandpeace.txt",
}
SIZE = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder of the run; it may be there already")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(machine_in_words())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for author, text in TEXTS.items():
            whole = read_text(data(text))
            if "PROJECT GUTENBERG" in whole:  # header and license have another author
                whole = cut_gutenberg(whole)
            (folder / f"{author}.txt").write_text(whole)
        run = trained("authors", folder, options.out, options.seed)
        texts = {str(document.fields["file"]): document.text for document in held_out(run, folder)}
    opened = open_text_model(run)
    right = asked = 0
    told = {}
    for author, text in texts.items():
        starts = range(0, len(text) - SIZE + 1, SIZE)
        windows = [text[start : start + SIZE] for start in starts]
        (other,) = set(texts) - {author}
        by = [
            score_lines(opened, windows, end=False, given={"file": name})
            for name in (author, other)
        ]
        good = sum(own.log_prob > others.log_prob for own, others in zip(*by, strict=True))
        told[author] = {"right": good, "windows": len(windows)}
        print(f"{author}: {good} of {len(windows)} windows right ({good / len(windows):.2%})")
        right, asked = right + good, asked + len(windows)
    minutes = curve(run)[-1]["seconds"] / 60
    figure = f"{right / asked:.2%} of {asked:,} windows right, after {minutes:.1f} minutes"
    print(figure)
    keep(
        "right_author",
        {
            "question": f"{described('authors')}: windows of {SIZE} held-out characters whose "
            "author gives the lower loss",
            "figure": figure,
            "authors": told,
            "minutes": minutes,
            "scores": {name: row["nats_per_character"] for name, row in scores(run).items()},
        },
        measured("authors", "src/recurra/pipeline"),
        seed=options.seed,
    )


if __name__ == "__main__":
    main()

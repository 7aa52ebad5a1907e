"""Eight kinds of text with the defaults: is the network below the 5-gram, the mixture below both?

Every training is ``recurra train language-model`` with nothing set but how long: two million
symbols, some minutes of one thread. Texts that this machine does not have are left out and named.
"""

from __future__ import annotations

import argparse
import gettext
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from harness import ROOT, data, keep

from recurra.data import standard_library

CHARACTERS = 1_000_000
SYMBOLS = 2_000_000
RIVAL, MIXTURE = "5-gram", "mixture"


def shared(name: str) -> Callable[[], str]:
    return lambda: data(name).read_text("utf-8")


def french() -> str:
    """What programs say, in Debian's translation; each sentence once, in a fixed disorder."""
    found = []
    for file in sorted(Path("/usr/share/locale/fr/LC_MESSAGES").glob("*.mo")):
        try:
            with open(file, "rb") as raw:
                catalog = vars(gettext.GNUTranslations(raw))["_catalog"]
        except (OSError, ValueError):  # no catalog, or in another encoding than it says
            continue
        found += [
            " ".join(said.split())
            for key, said in catalog.items()
            if key and isinstance(said, str) and " " in said and said != key
        ]
    random.Random(0).shuffle(found)
    return "\n".join(dict.fromkeys(found))


def markup() -> str:
    """Chapters of the Rust book in HTML, as rustup brings them."""
    root = Path.home() / ".rustup" / "toolchains"
    books = sorted(root.glob("stable-*/share/doc/rust/html/book"))
    files = [file for book in books[:1] for file in sorted(book.glob("ch*.html"))]
    return "".join(file.read_text("utf-8") for file in files)


KINDS = {
    "code": lambda: standard_library(CHARACTERS),
    "prose": shared("warandpeace/warandpeace.txt"),
    "shakespeare": shared("tinyshakespeare/input.txt"),
    "german": shared("multi30k-en-de/train.lc.norm.tok.de"),
    "french": french,
    "names": shared("names/names.txt"),
    "numbers": shared("vega-series/sp500-2000.csv"),
    "markup": markup,
}


def trained(name: str, text: str, folder: Path) -> Path:
    """The run of a kind, trained now if it is not there yet."""
    out, file = folder / name, folder / f"{name}.txt"
    if not (out / "summary.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        words = ["train", "language-model", f"--data={file}", f"--out={out}"]
        subprocess.run(
            [sys.executable, "-m", "recurra", *words, "--set", f"training.symbols={SYMBOLS}"],
            check=True,
            env={"OMP_NUM_THREADS": "1", **os.environ},
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "benchmarks" / "kinds")
    folder = parser.parse_args().runs
    figures = {}
    for name, read in KINDS.items():
        text = read()[:CHARACTERS]
        if len(text) < CHARACTERS // 5:
            print(f"skipped: {name}, this machine has {len(text):,} characters of it")
            continue
        run = trained(name, text, folder)
        rows = json.loads((run / "summary.json").read_text())["evaluations"]
        mixed = json.loads((run / "mixture.json").read_text())
        figures[name] = {
            "characters": len(text),
            "nats": {row["name"]: row["nats"] / row["symbols"] for row in rows},
            "weight": mixed["weight"],
            "ngram": mixed["ngram"],
        }
        said = "  ".join(f"{who} {nats:.4f}" for who, nats in figures[name]["nats"].items())
        print(f"{name:12} {said}  weight {mixed['weight']:.3f}")
    found = [each["nats"] for each in figures.values()]
    ahead = sum(nats["lstm"] < nats[RIVAL] for nats in found)
    both = sum(nats[MIXTURE] < min(nats["lstm"], nats[RIVAL]) for nats in found)
    keep(
        "kinds_of_text",
        {
            "question": "defaults on kinds of text, nats per symbol of the held-out tenth, two "
            "million symbols of training: is the LSTM below the 5-gram, the mixture below both?",
            "figure": f"LSTM below on {ahead} of {len(found)}, mixture on {both} of {len(found)}",
            "figures": figures,
        },
        [
            "src/recurra/layers",
            "src/recurra/models",
            "src/recurra/pipeline/mixing.py",
            "src/recurra/recipes/language-model.toml",
            "src/recurra/tasks/language_model",
            "src/recurra/training",
        ],
        seed=0,
    )


if __name__ == "__main__":
    main()

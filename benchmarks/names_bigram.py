"""Does a counted bigram over all names give the figure that is known for it?

The known figure is 2.454 nats per predicted symbol, the end of each name counted as one.
"""

from __future__ import annotations

from harness import data, keep

from recurra.data import END, START, CharacterVocabulary, read_text
from recurra.models import AddK, KneserNey, NGram


def main() -> None:
    names = read_text(data("names/names.txt")).split()
    vocabulary = CharacterVocabulary.of(names)
    documents = [vocabulary.encode(name) for name in names]
    figures = {}
    for title, order, smoothing in (
        ("counted bigram", 2, AddK(0)),
        ("Kneser-Ney bigram", 2, KneserNey()),
        ("Kneser-Ney 5-gram", 5, KneserNey()),
    ):
        model = NGram.fit(
            documents,
            order=order,
            vocabulary_size=len(vocabulary),
            start=START,
            end=END,
            smoothing=smoothing,
        )
        nats, symbols = model.total(documents)
        figures[title] = nats / symbols
        print(
            f"{title:18} {nats / symbols:.4f} nats per predicted symbol, {symbols:,} symbols "
            f"of {len(names):,} names it was counted on"
        )
    keep(
        "names_bigram",
        {
            "question": "counted bigram over all names, end symbol counted, nats per symbol "
            "(known: 2.454)",
            "figure": f"{figures['counted bigram']:.4f}",
            "figures": figures,
        },
        [
            "src/recurra/models/grams.py",
            "src/recurra/models/ngram.py",
            "src/recurra/models/smoothing.py",
        ],
    )


if __name__ == "__main__":
    main()

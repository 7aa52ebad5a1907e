"""How many keys does predictive typing save? Three suggestions, on text that was held out.

The text is typed by a person who takes every suggestion that helps: a key accepts the rest of a
word and types the space behind it. The word model of ``language_models.py words`` suggests, and the
5-gram of the same words.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from harness import data, keep, machine_in_words
from trained import held_out, measured, trained

from recurra.pipeline import keystrokes_saved, open_text_model

TEXT = "warandpeace/warandpeace.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder of the run; it may be there already")
    parser.add_argument("--characters", type=int, default=20_000)
    parser.add_argument("--suggestions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(machine_in_words())
    run = trained("words", data(TEXT), options.out, options.seed)
    text = "".join(part.text for part in held_out(run, data(TEXT))).lstrip()[: options.characters]
    saved = {}
    for model in (None, "5-gram"):
        opened, began = open_text_model(run, model=model), time.perf_counter()
        done = keystrokes_saved(opened, text, options.suggestions)
        saved[opened.name] = done.saved
        seconds = time.perf_counter() - began
        print(f"{opened.name}: {done.saved:.2%} saved ({done}), {seconds:.0f} s", flush=True)
    figure = ", ".join(f"{name} {share:.1%}" for name, share in saved.items())
    keep(
        "keystrokes",
        {
            "question": f"keystrokes saved on the first {len(text):,} characters of War and "
            f"Peace's last tenth, {options.suggestions} suggestions at every position",
            "figure": figure,
            "saved": saved,
        },
        measured("words", "src/recurra/pipeline"),
        seed=options.seed,
    )


if __name__ == "__main__":
    main()

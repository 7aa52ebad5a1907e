"""How long the report of a run takes, and how large its page is.

A character model of two layers of 256 units, trained on a piece of Shakespeare for some steps (what
it has learned changes neither), looked into with 2,000 characters that it has not read.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from harness import data, keep, machine_in_words

import recurra
from recurra.diagnosis import Axis, lines

MEASURED = [
    "src/recurra/diagnosis",
    "src/recurra/engine",
    "src/recurra/inspection",
    "src/recurra/tasks/base.py",
    "src/recurra/tasks/language_model/task.py",
]
_TRAINED, _READ = 100_000, 2_000


def main() -> None:
    """Print seconds and bytes, and keep them."""
    print(machine_in_words())
    text = data("tinyshakespeare/input.txt").read_text()
    lines({"": {0.0: 0.0, 1.0: 1.0}}, title="", x=Axis("", 0, 1), y=Axis("", 0, 1)).svg()  # loaded
    with tempfile.TemporaryDirectory() as place:
        run, asked = Path(place) / "run", Path(place) / "asked.txt"
        (Path(place) / "book.txt").write_text(text[:_TRAINED])
        asked.write_text(text[-_READ:])
        settings = {"hidden_size": 256, "layers": 2, "epochs": 1, "report": lambda told: None}
        recurra.train("language-model", Path(place) / "book.txt", out=run, **settings)
        began, cpu = time.perf_counter(), time.process_time()
        report = recurra.inspect(run, asked)
        page = report.save(Path(place) / "report.html")
        seconds, busy = time.perf_counter() - began, time.process_time() - cpu
        size = page.stat().st_size
        print(report)
    figure = f"{seconds:.1f} s ({busy:.1f} s of CPU), {size / 1e6:.2f} MB"
    print(figure)
    facts = {
        "question": f"the report of a character model of two layers of 256 units over {_READ:,} "
        "characters: time and size; goal at most 20 s and 4 MB",
        "figure": figure,
        "seconds": seconds,
        "cpu": busy,
        "bytes": size,
    }
    keep("report", facts, MEASURED, by_kind=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

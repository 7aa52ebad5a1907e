"""What a benchmark found: its cases, one table of them, and what its result keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import Measurement

from recurra.columns import aligned

OURS = "recurra"


class Findings:
    """Cases with a measurement each, told as how many times as fast ours is as each rival."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, ...]] = []
        self._told: list[str] = []
        self._cases: dict[str, Any] = {}
        self.void = False

    def add(
        self,
        case: str,
        done: Measurement,
        goals: Mapping[str, float | None],
        ours: str = OURS,
        told: str = "",
    ) -> None:
        """A case that was measured, which is printed at once.

        Args:
            case: its name.
            done: of ours and all rivals.
            goals: by rival, how many times as fast ours is to be; None where nothing was set.
            ours: whose speed it is.
            told: the case as the scoreboard tells it; left out, its name.
        """
        speeds, figures = {}, []
        for rival, goal in goals.items():
            low, speed, high = done.speed(ours, rival)
            speeds[rival] = {"median": speed, "p25": low, "p75": high, "goal": goal}
            figures.append(f"{speed:.1f}" + (f" over {rival}" if len(goals) > 1 else ""))
            self._rows.append(
                (
                    case,
                    f"{done.median(ours) * 1e3:.2f}",
                    rival,
                    f"{done.median(rival) * 1e3:.2f}",
                    f"{speed:.2f}",
                    f"{low:.2f} to {high:.2f}",
                    "" if goal is None else f"{goal:g}{'' if speed >= goal else ' missed'}",
                    "void" if done.void else "",
                )
            )
        self._told.append(f"{told or case} {', '.join(figures)}{done.mark}")
        self._cases[case] = {"speeds": speeds, "measurement": done.to_json()}
        self.void |= done.void
        print(f"{case}: {', '.join(figures)} times as fast\n{done}", flush=True)

    def table(self) -> str:
        """All cases, a line for each rival."""
        head = ("case", "ours, ms", "rival", "its, ms", "ratio", "quartiles", "goal", "")
        return aligned([head, *self._rows])

    @property
    def figure(self) -> str:
        """All cases in one line, for the scoreboard."""
        between = "; " if any("," in one for one in self._told) else ", "
        return between.join(self._told)

    def to_json(self) -> dict[str, Any]:
        """What a result keeps of the cases."""
        return {"figure": self.figure, "cases": self._cases}

    def __len__(self) -> int:
        return len(self._cases)

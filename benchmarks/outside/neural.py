"""How fast neuralforecast's LSTM trains, and how well it forecasts, under its own interpreter.

Usage: PYTHON neural.py SETTINGS, where the interpreter has neuralforecast and the torch that the
rival is measured with. It imports nothing of the project but ``seasonal.py`` beside it; what it
finds is printed as JSON.

SETTINGS is JSON. These are its own; everything else goes to the model as it stands:

* ``series``, ``steps``, ``seed``: of the data; 1000, 500 and 0 if left out. The last ``h`` steps of
  each are tested on and take no part in the training.
* ``loss``: "MAE" or "MSE".
* ``local_scaler_type``: how each series is scaled as a whole; null if it is not.
* ``threads``: of torch; 2 if left out.
* ``seconds``: to train for; if left out, ``max_steps`` say it.
* ``warm``: steps in front that the rate does not count; 10 if left out.

The rate is windows of all steps behind the first few, by the time from the end of the last of those
few to the end of the last of all: import, set-up and the first calls do not count, the way from one
pass over the series to the next does. Where others use the machine, quartiles of single steps and
windows by the CPU time of all threads say more, and ``OMP_WAIT_POLICY=PASSIVE`` before the command
keeps threads from waiting for each other at full speed. Checkpoints, logs, bars and validation
are off.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from importlib.metadata import version
from typing import Any

os.environ.setdefault("RAY_DISABLE_IMPORT_WARNING", "1")

import numpy as np
import pandas as pd
import pytorch_lightning as lightning
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses import pytorch as losses
from neuralforecast.models import LSTM
from seasonal import errors, make

QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Clock(lightning.Callback):
    """When each step ended; stops the training after some seconds."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds, self.ends, self.worked, self.began = seconds, [], [], 0.0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Time begins."""
        self.began = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """One more step."""
        self.ends.append(time.perf_counter())
        self.worked.append(time.process_time())
        if self.seconds is not None and self.ends[-1] - self.began > self.seconds:
            trainer.should_stop = True


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Rate of the training, and errors of the test part."""
    own = {"series": 1000, "steps": 500, "seed": 0, "seconds": None, "warm": 10} | settings
    series, steps, seed, seconds, warm = (
        own.pop(name) for name in ("series", "steps", "seed", "seconds", "warm")
    )
    scaled, threads = own.pop("local_scaler_type", None), own.pop("threads", 2)
    torch.set_num_threads(threads)
    loss, clock = getattr(losses, own.pop("loss", "MAE"))(), Clock(seconds)
    if seconds is not None:
        own["max_steps"] = 10**9
    y, h = make(series, steps, seed).y, own["h"]
    model = LSTM(**own, loss=loss, callbacks=[clock], accelerator="cpu", **QUIET)
    whole = NeuralForecast([model], freq=1, local_scaler_type=scaled)
    began = time.perf_counter()
    whole.fit(_table(y[:, :-h]), val_size=0)
    fitted = time.perf_counter() - began
    told = whole.predict().sort_values(["unique_id", "ds"], kind="stable")
    forecast = told[str(model)].to_numpy(np.float64).reshape(series, h)
    clock = whole.models[0].trainer_kwargs["callbacks"][0]  # the model that learns is a copy
    ends, windows = np.array(clock.ends), own.get("windows_batch_size", 128)
    gaps = np.diff(ends[warm - 1 :])
    worked = clock.worked[-1] - clock.worked[warm - 1]
    return {
        "windows_a_second": windows * len(gaps) / float(ends[-1] - ends[warm - 1]),
        "windows_a_cpu_second": windows * len(gaps) / worked,
        "step_ms": [float(one) * 1e3 for one in np.quantile(gaps, [0.25, 0.5, 0.75])],
        "steps": len(ends),
        "training_seconds": float(ends[-1] - clock.began),
        "fit_seconds": fitted,
        "parameters": sum(one.numel() for one in whole.models[0].parameters()),
        **errors(y, forecast),
    }


def _table(y: np.ndarray) -> pd.DataFrame:
    """Series as rows of steps."""
    series, steps = y.shape
    names = np.repeat(np.arange(series), steps)
    return pd.DataFrame(
        {"unique_id": names, "ds": np.tile(np.arange(steps), series), "y": y.ravel()}
    )


def main() -> None:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    settings, before = json.loads(sys.argv[1]), os.getloadavg()[0]
    found = measure(settings)
    names = ("neuralforecast", "torch", "pytorch-lightning", "numpy", "pandas")
    told = {"settings": settings, "versions": {name: version(name) for name in names}}
    print(json.dumps({**told, "load": [before, os.getloadavg()[0]], **found}))


if __name__ == "__main__":
    main()

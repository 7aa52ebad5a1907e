"""Classes of series, sounds, pictures and several of these: both doors, answers, streams."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import recurra
from recurra import artifact
from recurra.cli import app
from recurra.columns import aligned
from recurra.errors import DataError, SettingError, ShapeError
from recurra.tasks import task_by_name
from recurra.training import evaluate, load_recipe

QUICK = {"hidden_size": 8, "minimum_steps": 60, "report": lambda told: None}


def waves(count: int = 80, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Slow and fast sines beside noise."""
    draw = np.random.default_rng(seed)
    cases, labels = [], []
    for number in range(count):
        steps = int(draw.integers(8, 20))
        wave = np.sin((0.4, 1.6)[number % 2] * np.arange(steps) + draw.uniform(0, 6))
        cases.append(np.stack([3 + wave, 0.1 * draw.standard_normal(steps)], 1).astype(np.float32))
        labels.append(("slow", "fast")[number % 2])
    return cases, labels


def tones(folder: Path, count: int = 40) -> Path:
    """Recordings of two tones with some noise, whose names tell which."""
    soundfile = pytest.importorskip("soundfile")
    pytest.importorskip("kaldi_native_fbank")
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(count):
        samples = int(draw.integers(800, 1600))
        hertz = (300, 900)[number % 2]
        wave = 0.3 * np.sin(2 * np.pi * hertz * np.arange(samples) / 8000)
        wave += 0.01 * draw.standard_normal(samples)
        soundfile.write(folder / f"{('low', 'high')[number % 2]}_{number}.wav", wave, 8000)
    return folder


def pictures(folder: Path, count: int = 60) -> Path:
    """Bars that lie and stand, in a folder for each."""
    image = pytest.importorskip("PIL.Image")
    draw = np.random.default_rng(0)
    for number in range(count):
        pixels = draw.integers(0, 60, (8, 10)).astype(np.uint8)
        if number % 2:
            pixels[int(draw.integers(1, 7)), :] = 250
        else:
            pixels[:, int(draw.integers(1, 9))] = 250
        place = folder / ("lies" if number % 2 else "stands")
        place.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def table(rows: list[Any]) -> str:
    found = task_by_name("classification").table(rows, "held out")
    return aligned([found.header, *found.rows]) + "\n" + "\n".join(found.notes)


def test_series_in_python_and_as_they_come(tmp_path: Path) -> None:
    cases, labels = waves()
    how = {"bidirectional": False, **QUICK, "minimum_steps": 300}
    done = recurra.train("classification", (cases, labels), out=tmp_path / "run", **how)
    assert [row.name for row in done.evaluations] == ["gru", "majority", "summary"]
    assert done.evaluations[0].accuracy > 0.8
    assert "calibration error" in table(done.evaluations)
    rows = evaluate(done.path, (cases, labels))
    assert rows[0].accuracy > 0.8
    # What it was trained on is told with the same temperature as what was held out.
    loaded, task = artifact.load(done.path), task_by_name("classification")
    loaded.model.label_head.temperature.fill_(0.3)
    data = load_recipe("classification", []).data
    part = task.read(task.open((cases, labels), data), loaded.fronts, data, print)
    (row,) = task.evaluate({"one": loaded.model}, part)
    assert task.kept_loss(loaded.model, part) == pytest.approx(row.loss)
    assert task.mean_loss(loaded.model, part) != pytest.approx(row.loss, rel=0.01)
    model = recurra.load(done.path)
    whole = list(model.predict(cases[:6]))
    for case, wanted in zip(cases, whole, strict=False):
        for cuts in ([], [1], [3, 4, 7], list(range(1, len(case)))):
            stream, said = model.listen(), None
            assert stream.push(np.zeros((0, 2))) is None
            for part in np.split(case, cuts):
                said = stream.push(part)
            assert said is not None
            assert dict(said.ranked) == pytest.approx(dict(wanted.ranked), abs=1e-6)
        stream = model.listen()
        early = stream.push(case[:5])
        (alone,) = model.predict([case[:5]])
        assert dict(early.ranked) == pytest.approx(dict(alone.ranked), abs=1e-6)
    with pytest.raises(DataError, match=r"expected \[time, 2\]"):
        model.listen().push(np.zeros((4, 3)))
    again = (
        task_by_name("classification").read_rivals(done.path)["summary"].log_probabilities(cases)
    )
    assert again.exp().sum(1).numpy() == pytest.approx(np.ones(len(cases)), rel=1e-5)


def test_a_model_that_reads_both_ways_cannot_listen(tmp_path: Path) -> None:
    done = recurra.train("classification", waves(40), out=tmp_path / "run", epochs=1, **QUICK)
    with pytest.raises(ShapeError, match="bidirectional=false"):
        recurra.load(done.path).listen()


def test_sounds_by_their_names(tmp_path: Path) -> None:
    folder = tones(tmp_path / "tones")
    done = recurra.train(
        "classification",
        folder,
        out=tmp_path / "run",
        label_from="name",
        bidirectional=False,
        **QUICK,
    )
    assert done.evaluations[0].accuracy > 0.8
    model = recurra.load(done.path)
    files = sorted(folder.glob("*.wav"))[:4]
    answers = list(model.predict(files))
    assert [answer.label for answer in answers] == [file.name.split("_")[0] for file in files]
    assert answers[0].to_json()["file"] == str(files[0])
    assert model.of_line("a.wav") == Path("a.wav")
    done = CliRunner().invoke(app, ["predict", str(tmp_path / "run"), str(files[1])])
    assert done.stdout.split("\t")[0] == files[1].name.split("_")[0]
    listed = tmp_path / "listed.txt"
    listed.write_text("\n".join(map(str, files)) + "\n")
    done = CliRunner().invoke(app, ["predict", str(tmp_path / "run"), str(listed)])
    assert len(done.stdout.splitlines()) == 4
    import soundfile

    samples, rate = soundfile.read(files[0], dtype="float32")
    (one,) = model.predict([(samples, rate)])
    assert dict(one.ranked) == pytest.approx(dict(answers[0].ranked), abs=1e-6)
    stream = model.listen()
    for part in np.array_split(samples, 7):
        said = stream.push(part)
    assert dict(said.ranked) == pytest.approx(dict(answers[0].ranked), abs=1e-5)
    with pytest.raises(DataError, match=r"nowhere\.wav: no such file"):
        list(model.predict([tmp_path / "nowhere.wav"]))
    with pytest.raises(DataError, match="8,000 samples a second"):
        list(model.predict([(samples, 16000)]))


@pytest.mark.parametrize("seen", ["whole", "columns"])
def test_pictures_in_folders(tmp_path: Path, seen: str) -> None:
    folder = pictures(tmp_path / "bars")
    done = recurra.train("classification", folder, out=tmp_path / "run", picture_as=seen, **QUICK)
    assert done.evaluations[0].accuracy > 0.8
    file = folder / "lies" / "1.png"
    (answer,) = recurra.load(done.path).predict(file)
    assert answer.label == "lies"


def test_several_inputs_one_of_which_may_be_missing(tmp_path: Path) -> None:
    tones(tmp_path / "tones")
    pictures(tmp_path / "bars")
    kinds = {"low": "stands", "high": "lies"}
    files = {kind: sorted((tmp_path / "bars" / kind).glob("*.png")) for kind in kinds.values()}
    with open(tmp_path / "both.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["wav", "png", "label"])
        for number, sound in enumerate(sorted((tmp_path / "tones").glob("*.wav"))):
            label = sound.name.split("_")[0]
            picture = files[kinds[label]][number % 20]
            rows.writerow(["" if number % 5 == 1 else sound, picture, label])
    inputs = {"sound": "wav", "picture": "png"}
    done = recurra.train(
        "classification",
        tmp_path / "both.csv",
        out=tmp_path / "run",
        inputs=inputs,
        dropout_missing=0.3,
        epochs=30,
        **QUICK,
    )
    assert done.evaluations[0].accuracy > 0.7
    model = recurra.load(done.path)
    both = {"sound": tmp_path / "tones" / "low_0.wav", "picture": files["stands"][0]}
    for given in (both, {"sound": both["sound"]}, {"picture": both["picture"], "sound": None}):
        (answer,) = model.predict([given])
        assert answer.label == "low"
    line = json.dumps({"picture": str(both["picture"])})
    (answer,) = model.predict([model.of_line(line)])
    assert answer.label == "low"
    with pytest.raises(DataError, match="expected a mapping of picture, sound"):
        list(model.predict([{"smell": 1}]))
    with pytest.raises(DataError, match="expected a line such as"):
        model.of_line("low.wav")
    with pytest.raises(SettingError, match="of series or of sounds"):
        model.listen()


def test_several_labels(tmp_path: Path) -> None:
    """Each of two waves may be there, or none."""
    draw = np.random.default_rng(0)
    cases, labels = [], []
    for number in range(160):
        slow, fast = number % 2, number // 2 % 2
        steps = np.arange(int(draw.integers(10, 20)))
        wave = slow * np.sin(0.4 * steps + draw.uniform(0, 6))
        wave = wave + fast * np.sin(1.6 * steps + draw.uniform(0, 6))
        cases.append((wave + 0.05 * draw.standard_normal(len(steps))).astype(np.float32))
        labels.append(("slow",) * slow + ("fast",) * fast)
    done = recurra.train(
        "classification", (cases, labels), out=tmp_path / "run", **QUICK | {"minimum_steps": 300}
    )
    row = done.evaluations[0]
    assert [each.name for each in done.evaluations] == ["gru", "majority", "summary"]
    assert row.accuracy > 0.7 > done.evaluations[1].accuracy
    assert row.micro_f1 > 0.8
    assert row.confusion is None
    assert "micro F1" in table(done.evaluations)
    model = recurra.load(done.path)
    answers = list(model.predict(cases))
    right = sum(set(a.labels) == set(b) for a, b in zip(answers, labels, strict=True))
    assert right > 110
    assert model.show(answers[0]) == ", ".join(answers[0].labels) or "-"
    assert answers[3].to_json()["labels"] == list(answers[3].labels)


def test_one_group_is_held_out(tmp_path: Path) -> None:
    cases, labels = waves(60)
    rows = [
        {
            "label": label,
            "who": "abc"[n % 3],
            **{f"x{t}": float(v) for t, v in enumerate(case[:8, 0])},
        }
        for n, (case, label) in enumerate(zip(cases, labels, strict=True))
    ]
    with open(tmp_path / "waves.csv", "w", newline="") as file:
        told = csv.DictWriter(file, rows[0])
        told.writeheader()
        told.writerows(rows)
    settings = {"input": "series", "group": "who", "test_group": "b"}
    done = recurra.train(
        "classification", tmp_path / "waves.csv", out=tmp_path / "run", **settings, **QUICK
    )
    assert done.evaluations[0].examples == 20
    with pytest.raises(DataError, match=r"test.*The groups are a, b, c"):
        recurra.train(
            "classification",
            tmp_path / "waves.csv",
            out=tmp_path / "other",
            **settings | {"test_group": "z"},
            **QUICK,
        )


def test_what_cannot_be_read_is_left_out_where_that_is_asked(tmp_path: Path) -> None:
    folder = tones(tmp_path / "tones", 40)
    (folder / "low_999.wav").write_bytes(b"no sound")
    how = {"label_from": "name", "epochs": 1, **QUICK}
    with pytest.raises(DataError, match=r"low_999\.wav"):
        recurra.train("classification", folder, out=tmp_path / "run", **how)
    told: list[str] = []
    how["report"] = lambda report: told.append(report.message or "")
    recurra.train("classification", folder, out=tmp_path / "run", on_error="skip", **how)
    assert any("left out because they cannot be read: 1" in each for each in told)


def test_a_label_never_seen_in_training_and_series_of_other_channels(tmp_path: Path) -> None:
    cases, labels = waves(40)
    done = recurra.train("classification", (cases, labels), out=tmp_path / "run", epochs=1, **QUICK)
    rows = evaluate(done.path, (cases[:3], ["slow", "fast", "odd"]))
    assert rows[0].unknown == 1
    with pytest.raises(DataError, match="channels"):
        evaluate(done.path, ([case[:, :1] for case in cases[:3]], labels[:3]))
    with pytest.raises(DataError, match="at least two classes"):
        recurra.train("classification", (cases, ["a"] * 40), out=tmp_path / "one", **QUICK)


def test_lists_of_words_are_texts(tmp_path: Path) -> None:
    words = [["a", mood, "film", str(n)] for n in range(40) for mood in ("good", "bad")]
    done = recurra.train(
        "classification", (words, ["yes", "no"] * 40), out=tmp_path / "run", **QUICK
    )
    model = recurra.load(done.path)
    assert [answer.label for answer in model.predict(["one good film"])] == ["yes"]


def test_settings_that_an_input_leaves_unread_are_told(tmp_path: Path) -> None:
    told: list[str] = []
    how = QUICK | {"report": lambda report: told.append(report.message or ""), "epochs": 1}
    recurra.train("classification", waves(40), out=tmp_path / "run", dropout_word=0.4, **how)
    assert "model.dropout_word has no effect: no input has symbols" in told
    assert not any("embedding_size" in each for each in told)  # which nobody chose


@pytest.mark.parametrize("kind", ["series", "text"])
def test_a_class_that_only_the_validation_part_has(tmp_path: Path, kind: str) -> None:
    """It counts as wrong and not in nats, wherever it stands: also in what chooses."""
    cases, labels = waves(40)
    texts = [f"a {label} wave {n}" for n, label in enumerate(labels)]
    read = texts if kind == "text" else cases
    parts = {
        "train": (read, labels),
        "validation": (read[:4], ["slow", "fast", "odd", "fast"]),
        "test": (read[4:8], labels[4:8]),
    }
    done = recurra.train("classification", parts, out=tmp_path / "run", epochs=2, **QUICK)
    assert done.evaluations[0].examples == 4
    only = parts | {"validation": (read[:2], ["odd", "even"])}
    recurra.train("classification", only, out=tmp_path / "only", epochs=1, **QUICK)


LONG = {"id": "case", "input": "series"}


def long_table(path: Path, *, ids: bool = True, labels: bool = True, count: int = 40) -> Path:
    cases, named = waves(count)
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["case"] * ids + ["x", "y"] + ["label"] * labels)
        for number, (case, label) in enumerate(zip(cases, named, strict=True)):
            rows.writerows([number] * ids + [*step] + [label] * labels for step in case)
    return path


def test_tables_of_series_are_answered_as_they_were_read(tmp_path: Path) -> None:
    """With labels and without, with ids and without; in one table or as a file that is named."""
    source = long_table(tmp_path / "long.csv")
    done = recurra.train("classification", source, out=tmp_path / "run", **LONG, **QUICK)
    run = str(done.path)

    def answers(*words: str, text: str | None = None) -> list[str]:
        told = CliRunner().invoke(app, ["predict", run, *words], input=text)
        assert told.exit_code == 0, told.stderr
        return [line.split("\t")[0] for line in told.stdout.splitlines()]

    whole = answers(str(source))
    assert len(whole) == 40
    assert whole == [answer.label for answer in recurra.load(run).predict(waves(40)[0])]
    bare = long_table(tmp_path / "bare.csv", labels=False)
    assert answers(str(bare)) == whole
    one = long_table(tmp_path / "one.csv", ids=False, labels=False, count=1)
    assert answers(str(one)) == answers(text=f"{one}\n") == whole[:1]


def test_wide_tables_are_answered_as_they_were_read(tmp_path: Path) -> None:
    cases, labels = waves(40)
    for name, extra in (("wide", True), ("bare", False)):
        with open(tmp_path / f"{name}.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow([f"v_{t}" for t in range(8)] + ["label"] * extra)
            for case, label in zip(cases, labels, strict=True):
                rows.writerow([*case[:8, 0]] + [label] * extra)
    run = tmp_path / "run"
    recurra.train("classification", tmp_path / "wide.csv", out=run, input="series", **QUICK)
    told = [
        CliRunner().invoke(app, ["predict", str(run), str(tmp_path / f"{name}.csv")]).stdout
        for name in ("wide", "bare")
    ]
    assert told[0] == told[1]
    assert len(told[0].splitlines()) == 40


def test_a_sound_with_slopes_is_answered_at_its_end(tmp_path: Path) -> None:
    """A frame waits for those after it: what is said of all comes with `finish`."""
    folder = tones(tmp_path / "tones", 30)
    how = {"label_from": "name", "bidirectional": False, "deltas": 2, "epochs": 3}
    done = recurra.train("classification", folder, out=tmp_path / "run", **how, **QUICK)
    model = recurra.load(done.path)
    import soundfile

    for file in sorted(folder.glob("*.wav"))[:3]:
        samples, _ = soundfile.read(file, dtype="float32")
        stream = model.listen()
        for part in np.array_split(samples, 5):
            stream.push(part)
        (whole,) = model.predict([file])
        assert dict(stream.finish().ranked) == pytest.approx(dict(whole.ranked), abs=1e-5)


def test_a_recording_that_cannot_be_heard_as_it_comes(tmp_path: Path) -> None:
    sounds = tones(tmp_path / "tones")
    settings: dict[str, Any] = {"label_from": "name", "bidirectional": False, "epochs": 1}
    whole = recurra.train(
        "classification",
        sounds,
        out=tmp_path / "whole",
        **QUICK,
        **settings,
        normalization="recording",
    )
    with pytest.raises(SettingError, match="listen: sound: normalization 'recording' needs all"):
        recurra.load(whole.path).listen()
    done = recurra.train("classification", sounds, out=tmp_path / "run", **QUICK, **settings)
    stream = recurra.load(done.path).listen()
    stream.finish()
    with pytest.raises(DataError, match="finish: sound: this recording has finished"):
        stream.finish()

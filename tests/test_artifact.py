"""A model on disk: the same after loading, and refused with a reason where it is damaged."""

from __future__ import annotations

import errno
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import recurra
from recurra import artifact
from recurra.batch import Batch
from recurra.cells import HiddenState, LSTMCell, cell_names, register
from recurra.cells import base as cells_base
from recurra.data import ByteVocabulary, CharacterVocabulary
from recurra.errors import ArtifactError, RunError, SettingError
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.tasks import base as task_base
from recurra_runtime.vocabulary import kinds

VOCABULARY = CharacterVocabulary("abé☃")


def make(seed: int = 0, **settings: Any) -> LanguageModel:
    torch.manual_seed(seed)
    chosen: dict[str, Any] = {"hidden_size": 5, "layers": 2, "vocabulary_size": len(VOCABULARY)}
    return LanguageModel(LanguageModelConfig(**(chosen | settings)))


def scores(model: Any) -> torch.Tensor:
    ids = torch.arange(12).view(6, 2) % len(VOCABULARY)
    predicted: torch.Tensor = model.predict(Batch(ids, None))
    return predicted


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    artifact.save(tmp_path / "model", make(), {"text": VOCABULARY}, "language-model")
    return tmp_path / "model"


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the configuration, as another version or a careless hand would."""
    config = json.loads((path / "config.json").read_text())
    change(config)
    (path / "config.json").write_text(json.dumps(config))


def replace(path: Path, name: str, content: bytes) -> None:
    """Change a file together with its checksum."""
    (path / name).write_bytes(content)
    edit(path, lambda c: c["sha256"].update({name: hashlib.sha256(content).hexdigest()}))


# ------------------------------------------------------------------------------------- round trips


@pytest.mark.parametrize("cell", [name for name in cell_names() if name != "grud"])
@pytest.mark.parametrize("tied", [False, True])
def test_saved_and_loaded_it_gives_the_same_bits(cell: str, tied: bool, tmp_path: Path) -> None:
    model = make(cell=cell, tied=tied).eval()
    artifact.save(tmp_path / "model", model, {"text": VOCABULARY}, "language-model")
    loaded = artifact.load(tmp_path / "model")
    assert torch.equal(scores(loaded.model), scores(model))
    assert loaded.model.config == model.config
    assert loaded.kind == "language-model"
    assert loaded.path == tmp_path / "model"
    assert not loaded.model.training
    assert loaded.fronts["text"].to_json() == VOCABULARY.to_json()


def test_settings_of_a_cell_come_back(tmp_path: Path) -> None:
    model = make(cell_settings={"bias": False}, dropout=0.3, residual=True, embedding_size=3)
    artifact.save(tmp_path / "model", model, {"text": VOCABULARY}, "language-model")
    assert artifact.load(tmp_path / "model").model.config == model.config


def test_a_byte_vocabulary_comes_back(tmp_path: Path) -> None:
    model = make(vocabulary_size=len(ByteVocabulary()))
    artifact.save(tmp_path / "model", model, {"text": ByteVocabulary()}, "language-model")
    assert isinstance(artifact.load(tmp_path / "model").fronts["text"], ByteVocabulary)


def test_a_loaded_model_can_be_trained_and_saved_again(saved: Path, tmp_path: Path) -> None:
    model = artifact.load(saved).model
    ids = torch.ones(3, 2, dtype=torch.long)
    model.loss(Batch(ids, ids)).backward()
    assert all(p.requires_grad and p.grad is not None for p in model.parameters())
    artifact.save(tmp_path / "again", model, {"text": VOCABULARY}, "language-model")
    for name in ("model.safetensors", "vocabulary.json", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_there_are_three_files_and_none_is_a_pickle(saved: Path) -> None:
    files = {path.name: path.read_bytes() for path in saved.iterdir()}
    assert set(files) == {"config.json", "model.safetensors", "vocabulary.json"}
    assert json.loads(files["config.json"])["format"] == artifact._FORMAT
    assert list(json.loads(files["vocabulary.json"])) == ["text"]
    assert set(safetensors.torch.load(files["model.safetensors"])) == set(make().state_dict())


def test_drawing_is_left_as_it_was(saved: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    artifact.load(saved)
    assert torch.equal(torch.rand(1), expected)


# ---------------------------------------------------------------------------------- ones own cells


class Leaky(LSTMCell):
    pass


@pytest.fixture
def own_cell(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(cells_base, "_REGISTERED", dict(cells_base._REGISTERED))
    register("leaky-of-the-test")(Leaky)
    return "leaky-of-the-test"


def test_a_registered_cell_comes_back(own_cell: str, tmp_path: Path) -> None:
    model = make(cell=own_cell).eval()
    artifact.save(tmp_path / "model", model, {"text": VOCABULARY}, "language-model")
    assert torch.equal(scores(artifact.load(tmp_path / "model").model), scores(model))


def test_an_unregistered_cell_is_refused_with_what_is_missing(saved: Path) -> None:
    edit(saved, lambda config: config["model"].update(cell="leaky-of-the-test"))
    with pytest.raises(ArtifactError, match=r"leaky-of-the-test.*@recurra\.register"):
        artifact.load(saved)


def test_an_unregistered_cell_is_named_with_where_it_was_made(own_cell: str, saved: Path) -> None:
    own = saved.parent / "own"
    artifact.save(own, make(cell=own_cell), {"text": VOCABULARY}, "language-model")
    edit(own, lambda c: c["cells"].update(lstm="recurra.cells.lstm.LSTMCell"))  # one that is there
    del cells_base._REGISTERED[own_cell]
    with pytest.raises(ArtifactError, match=r"import that module first\.$") as problem:
        artifact.load(own)
    assert f"{own_cell!r} was made as {__name__}" in str(problem.value)
    assert str(problem.value).count("was made as") == 1


class Heavy(LSTMCell):
    """Its construction reads a number, of which there is none without memory."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.size = float(next(self.parameters()).detach().sum())


def test_sizes_are_compared_where_a_cell_needs_memory_to_be_built(
    own_cell: str, saved: Path
) -> None:
    cells_base._REGISTERED[own_cell] = Heavy
    artifact.save(saved.parent / "own", make(cell=own_cell), {"text": VOCABULARY}, "language-model")
    artifact.load(saved.parent / "own")
    edit(saved.parent / "own", lambda c: c["model"].update(hidden_size=6))
    with pytest.raises(ArtifactError, match=r"tensor '.*': the configuration wants "):
        artifact.load(saved.parent / "own")


def test_the_type_of_the_weights_comes_back(tmp_path: Path) -> None:
    artifact.save(tmp_path / "model", make().double(), {"text": VOCABULARY}, "language-model")
    for weight in artifact.load(tmp_path / "model").model.parameters():
        assert weight.dtype == torch.float64


def test_state_types_are_public() -> None:
    assert HiddenState._fields == ("h",)  # what a cell of one's own is saved and loaded with


# --------------------------------------------------------------------------------- ones own fronts

OWN_FRONT = """
import numpy as np
import recurra

@recurra.register_front("vowels")
class Vowels:
    def __init__(self, known):
        self.known = known

    def __len__(self):
        return 3 + len(self.known)

    def encode(self, text):
        return np.array([3 + self.known.find(letter) for letter in text if letter in self.known])

    def to_json(self):
        return {"known": self.known}

    @classmethod
    def from_json(cls, data):
        return cls(data["known"])
"""
OWN_TASK = """
import recurra
from recurra import tasks
from recurra.data import START
from vowels import Vowels

class Model(recurra.Model):
    def __init__(self, settings, symbols):
        embedding = recurra.TokenEmbedding(symbols, 2)
        layers = tasks.build_layers(settings, 2)
        super().__init__(
            recurra.TokenEncoder(embedding, layers), recurra.LabelsHead(layers.output_size, 2)
        )
        self.config = settings

@recurra.register_task("rounds")
class Rounds(tasks.ExamplesTask):
    Model = tasks.LayerSettings

    def fit(self, inputs, targets):
        return {"text": Vowels("aou")}

    def encode(self, text, fronts):
        return [START, *fronts["text"].encode(text)]

    def build(self, settings, fronts):
        return Model(settings, len(fronts["text"]))

    def say(self, said, fronts):
        return said.tolist()
"""
FRESH = """
import importlib, sys
import recurra
for name in [None, *sys.argv[2:]]:
    if name:
        importlib.import_module(name)
    try:
        print(*recurra.load(sys.argv[1]).predict(["auto"]))
    except recurra.ArtifactError as problem:
        print(problem)
"""


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A front and a task in modules of their own, which no other test sees."""
    (tmp_path / "vowels.py").write_text(OWN_FRONT)
    (tmp_path / "rounds.py").write_text(OWN_TASK)
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    monkeypatch.setattr(task_base, "_known", dict(task_base._known))
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("vowels", "rounds"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("vowels", "rounds"):
        sys.modules.pop(name, None)


def test_a_front_of_ones_own_is_found_by_its_name_where_it_was_imported(own_modules: Path) -> None:
    importlib.import_module("rounds")
    words = [("auto", [0, 1, 0, 1]), ("bauer", [1, 1, 0])] * 10
    out = own_modules / "run"
    recurra.train("rounds", words, out=out, layers=1, hidden_size=3, epochs=1)
    expected = next(iter(recurra.load(out).predict(["auto"])))
    # A fresh process imports nothing by itself, and says what it misses.
    (own_modules / "tasks_alone.py").write_text("import sys\nsys.modules['vowels'] = sys\n")
    done = subprocess.run(
        [sys.executable, "-c", FRESH, out, "rounds"],
        cwd=own_modules,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    without, imported = done.stdout.splitlines()
    assert "'rounds' was made as rounds:Rounds: import that module first." in without
    assert imported == str(expected)


def test_a_front_whose_module_was_not_imported_is_named(own_modules: Path, saved: Path) -> None:
    front = importlib.import_module("vowels").Vowels("aeiu")
    own = own_modules / "own"
    artifact.save(own, make(), {"text": front}, "language-model")
    assert json.loads((own / "vocabulary.json").read_text())["text"]["kind"] == "vowels"
    loaded = artifact.load(own)
    assert (type(loaded.fronts["text"]), loaded.fronts["text"].known) == (type(front), "aeiu")
    del kinds._KINDS["vowels"]
    with pytest.raises(ArtifactError, match=r"vocabulary\.json: .*got 'vowels'\. ") as problem:
        artifact.load(own)
    assert str(problem.value).endswith(
        "'vowels' was made as vowels.Vowels: import that module first."
    )
    assert "damaged" not in str(problem.value)
    for read in (artifact.load, recurra.load):
        assert read(saved)  # which has none of one's own


class Unregistered(CharacterVocabulary):
    """Would come back as another class."""


@pytest.mark.parametrize("front", [Unregistered("abé☃"), object()])
def test_a_front_that_is_not_registered_is_not_saved(front: Any, tmp_path: Path) -> None:
    name = f"{type(front).__module__}.{type(front).__qualname__}"
    said = rf"text: front: {name} is not registered; put @recurra\.register_front\('NAME'\)"
    with pytest.raises(SettingError, match=said):
        artifact.save(tmp_path / "model", make(), {"text": front}, "language-model")
    assert not (tmp_path / "model").exists()


# ---------------------------------------------------------------------------------------- damaged


def truncate(path: Path) -> None:
    raw = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(raw[: len(raw) // 2])


def truncate_with_its_checksum(path: Path) -> None:
    raw = (path / "model.safetensors").read_bytes()
    replace(path, "model.safetensors", raw[:-10])


def other_weights(**settings: Any) -> bytes:
    return safetensors.torch.save(dict(make(**settings).state_dict()))


def retyped(dtype: torch.dtype, number: int | None) -> bytes:
    """The weights, so many of them of another type."""
    state = dict(make().state_dict())
    return safetensors.torch.save(
        state | {name: state[name].to(dtype) for name in list(state)[:number]}
    )


def vocabulary(field: str, kind: str, characters: str | None = None) -> bytes:
    return json.dumps(
        {field: {"kind": kind, "characters": characters and list(characters)}}
    ).encode()


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "weights cut short": (truncate, r"model\.safetensors: damaged.*checksum"),
    "weights cut before the sum": (truncate_with_its_checksum, r"model\.safetensors: damaged"),
    "empty weights": (
        lambda p: (p / "model.safetensors").write_bytes(b""),
        r"model\.safetensors: damaged.*checksum",
    ),
    "no weights": (
        lambda p: (p / "model.safetensors").unlink(),
        r"model\.safetensors: is missing",
    ),
    "weights are a folder": (
        lambda p: [(p / "model.safetensors").unlink(), (p / "model.safetensors").mkdir()],
        r"model\.safetensors: expected a file",
    ),
    "no vocabulary": (lambda p: (p / "vocabulary.json").unlink(), r"vocabulary\.json: is missing"),
    "config is no JSON": (
        lambda p: (p / "config.json").write_text("{"),
        r"config\.json: damaged, not JSON",
    ),
    "config is no UTF-8": (
        lambda p: (p / "config.json").write_bytes(b"\xff\xfe{}"),
        r"config\.json: damaged, not JSON",
    ),
    "config is too deep": (
        lambda p: (p / "config.json").write_text("[" * 100_000),
        r"config\.json: damaged, not JSON",
    ),
    "config is a list": (
        lambda p: (p / "config.json").write_text("[]"),
        r"config\.json: damaged, expected an object, got list",
    ),
    "config is empty": (
        lambda p: (p / "config.json").write_text("{}"),
        r"config\.json: expected format 1 to 2, got None",
    ),
    "newer format": (
        lambda p: edit(p, lambda c: c.update(format=3)),
        r"expected format 1 to 2, got 3.*another version",
    ),
    "another kind": (
        lambda p: edit(p, lambda c: c.update(kind="speech")),
        "expected a task among .*language-model.*, got 'speech'",
    ),
    "no model in the config": (
        lambda p: edit(p, lambda c: c.pop("model")),
        r"config\.json: damaged, model",
    ),
    "unknown setting": (
        lambda p: edit(p, lambda c: c["model"].update(heads=8)),
        r"config\.json: damaged, model\.heads",
    ),
    "wrong type": (
        lambda p: edit(p, lambda c: c["model"].update(hidden_size="5")),
        r"config\.json: damaged, model\.hidden_size",
    ),
    "a size beyond all memory": (
        lambda p: edit(p, lambda c: c["model"].update(hidden_size=10**18)),
        r"config\.json: ",
    ),
    "a size beyond this machine's memory": (
        lambda p: edit(p, lambda c: c["model"].update(hidden_size=10**6)),
        r"model\.safetensors: tensor '.*': the configuration wants \(.*\), on disk is \(",
    ),
    "another size": (
        lambda p: edit(p, lambda c: c["model"].update(hidden_size=6)),
        r"model\.safetensors: tensor '.*': the configuration wants \(.*\), on disk is \(",
    ),
    "a layer too few": (
        lambda p: edit(p, lambda c: c["model"].update(layers=3)),
        r"model\.safetensors: tensor '.*layers\.2.*on disk is none",
    ),
    "weights of another model": (
        lambda p: replace(p, "model.safetensors", other_weights(hidden_size=4)),
        r"tensor '.*': the configuration wants \(.*\), on disk is \(",
    ),
    "weights of another cell": (
        lambda p: replace(p, "model.safetensors", other_weights(cell="gru_reset_before")),
        "tensor '.*': the configuration wants ",
    ),
    "weights of two types": (
        lambda p: replace(p, "model.safetensors", retyped(torch.float64, 1)),
        r"model\.safetensors: expected weights of one float type, got float32, float64",
    ),
    "weights in whole numbers": (
        lambda p: replace(p, "model.safetensors", retyped(torch.int64, None)),
        r"tensor '.*': the configuration wants float32, on disk is int64",
    ),
    "a name of a tensor that is none": (
        lambda p: edit(p, lambda c: c.update(shared={"head.projection.weight": "nothing"})),
        r"config\.json: damaged, shared",
    ),
    "names of tensors are a list": (
        lambda p: edit(p, lambda c: c.update(shared=["head.projection.weight"])),
        r"config\.json: damaged, shared",
    ),
    "weights are a pickle": (
        lambda p: replace(p, "model.safetensors", b"\x80\x04K\x01."),
        r"model\.safetensors: damaged",
    ),
    "no checksums": (
        lambda p: edit(p, lambda c: c.pop("sha256")),
        r"model\.safetensors: damaged.*checksum",
    ),
    "a smaller vocabulary": (
        lambda p: replace(p, "vocabulary.json", vocabulary("text", "characters", "ab")),
        r"vocabulary\.json: expected a vocabulary 'text' of 7 symbols .* got 5",
    ),
    "a larger vocabulary": (
        lambda p: replace(p, "vocabulary.json", vocabulary("text", "bytes")),
        r"vocabulary\.json: expected a vocabulary 'text' of 7 symbols .* got 259",
    ),
    "the vocabulary of another field": (
        lambda p: replace(p, "vocabulary.json", vocabulary("tags", "bytes")),
        r"vocabulary\.json: expected a vocabulary 'text' of 7 symbols .* got none",
    ),
    "a vocabulary of another kind": (
        lambda p: replace(p, "vocabulary.json", vocabulary("text", "letters")),
        r"vocabulary\.json: damaged, .*got 'letters'",
    ),
    "a vocabulary with a symbol twice": (
        lambda p: replace(p, "vocabulary.json", vocabulary("text", "characters", "abca")),
        r"vocabulary\.json: damaged, .*twice",
    ),
    "a vocabulary that is a list": (
        lambda p: replace(p, "vocabulary.json", b"[]"),
        r"vocabulary\.json: damaged, expected an object",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_artifact_is_refused_with_what_is_wrong(damage: str, saved: Path) -> None:
    change, said = DAMAGES[damage]
    artifact.load(saved)  # as it was, it loads
    change(saved)
    with pytest.raises(ArtifactError, match=said) as problem:
        artifact.load(saved)
    assert str(saved) in str(problem.value)


def test_a_missing_library_is_no_damage(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"text": {"kind": "byte-pairs", "tokenizer": {}}}
    replace(saved, "vocabulary.json", json.dumps(words).encode())
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    message = (
        r"vocabulary\.json: vocabulary: byte pairs need the library tokenizers, which cannot be "
        r"imported \(.*\); pip install 'recurra\[tokens\]' brings it\.$"
    )
    with pytest.raises(ArtifactError, match=message) as problem:
        artifact.load(saved)
    assert "damaged" not in str(problem.value)


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.json"])
def test_every_flipped_bit_is_seen(name: str, saved: Path) -> None:
    raw = (saved / name).read_bytes()
    for place in range(0, len(raw), max(1, len(raw) // 60)):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << place % 8
        (saved / name).write_bytes(damaged)
        with pytest.raises(ArtifactError, match="damaged"):
            artifact.load(saved)
    (saved / name).write_bytes(raw)
    artifact.load(saved)


def test_a_flipped_bit_of_the_configuration_is_never_more_than_an_artifact_error(
    saved: Path,
) -> None:
    # It holds no weights: what can still be read may load, all else is refused in words.
    raw = (saved / "config.json").read_bytes()
    refused = 0
    for place in range(0, len(raw), 2):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << (place // 2) % 8
        (saved / "config.json").write_bytes(damaged)
        try:
            artifact.load(saved)
        except ArtifactError:
            refused += 1
    assert refused > len(raw) / 4


# ------------------------------------------------------------------------------- a run's pointers


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for step in (1, 2):
        name = f"{step:06d}"
        artifact.save(
            tmp_path / "run/checkpoints" / name, make(step), {"text": VOCABULARY}, "language-model"
        )
    (tmp_path / "run/best").write_text("000001\n")
    (tmp_path / "run/last").write_text("000002\n")
    return tmp_path / "run"


def test_a_run_gives_its_best_or_its_last(run: Path) -> None:
    assert artifact.load(run).path.name == "000001"
    assert artifact.load(run, which="last").path.name == "000002"
    assert artifact.load(run / "checkpoints/000002").path.name == "000002"
    assert artifact.load(str(run)).path.name == "000001"


def test_there_are_no_others(run: Path) -> None:
    for which in ("worst", "", "checkpoints", "../run/best"):
        with pytest.raises(SettingError, match="expected 'best' or 'last'"):
            artifact.load(run, which=which)


def test_one_pointer_stands_in_for_the_other(run: Path) -> None:
    (run / "best").unlink()
    assert artifact.load(run).path.name == "000002"
    (run / "best").write_text("000001")
    (run / "last").unlink()
    assert artifact.load(run, which="last").path.name == "000001"


@pytest.mark.parametrize(
    "name", [b"000003", b"", b"\n", b"nothing", b"../../elsewhere", b"\xff\x00", b".", b"\xc2\xb2"]
)
def test_a_pointer_that_names_nothing(name: bytes, run: Path) -> None:
    (run / "best").write_bytes(name)
    with pytest.raises(ArtifactError, match=r"best: names .*no checkpoint of this run"):
        artifact.load(run)


def test_a_run_without_a_checkpoint(run: Path) -> None:
    (run / "best").unlink()
    (run / "last").unlink()
    with pytest.raises(ArtifactError, match="stopped before its first checkpoint"):
        artifact.load(run)


def test_a_checkpoint_that_is_half_gone(run: Path) -> None:
    shutil.rmtree(run / "checkpoints/000001")
    with pytest.raises(ArtifactError, match="names '000001'"):
        artifact.load(run)
    assert artifact.load(run, which="last").path.name == "000002"


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is none"):
        artifact.load(tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="this is a file"):
        artifact.load(tmp_path / "file")
    with pytest.raises(ArtifactError, match="expected a run"):
        artifact.load(tmp_path)


# ---------------------------------------------------------------------------------------- writing


def test_what_is_there_is_never_changed(saved: Path) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    with pytest.raises(RunError, match="is there already"):
        artifact.save(saved, make(1), {"text": VOCABULARY}, "language-model")
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_cannot_be_written_leaves_nothing(
    problem: BaseException, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise problem

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        expected = RunError if isinstance(problem, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            artifact.save(tmp_path / "model", make(), {"text": VOCABULARY}, "language-model")
    assert not list(tmp_path.iterdir())
    artifact.save(tmp_path / "model", make(), {"text": VOCABULARY}, "language-model")
    artifact.load(tmp_path / "model")


def test_the_message_says_how_much_room_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match=r"No space left on device\); 2\.5 MB are needed"):
        artifact.write_folder(tmp_path / "big", {"file": bytes(2_500_000)})


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        artifact.save(tmp_path / "file" / "model", make(), {"text": VOCABULARY}, "language-model")


def test_it_tells_what_it_is(tmp_path: Path) -> None:
    told = {
        "data": {"blake2b": "ab", "licence": "CC0"},
        "scores": {"step": 3},
        "command": "recurra",
    }
    artifact.save(tmp_path / "model", make(), {"text": VOCABULARY}, "language-model", told)
    about = artifact.load(tmp_path / "model").about
    assert {name: about[name] for name in told} == told
    assert set(about["versions"]) == {"recurra", "torch", "numpy", "python"}


def test_what_an_older_version_wrote_tells_nothing(saved: Path) -> None:
    edit(saved, lambda c: (c.update(format=1), c.pop("about"), c.pop("made_as")))
    assert artifact.load(saved).about == {}


def test_a_training_tells_of_its_data(tiny_run: Any) -> None:
    loaded = artifact.load(tiny_run.path)
    about = loaded.about
    told = json.loads((tiny_run.path / "data.json").read_text())
    assert about["data"] == {"blake2b": told["blake2b"], "licence": None}
    assert about["scores"]["step"] == int(loaded.path.name)
    assert about["scores"]["validation_nats"] > 0

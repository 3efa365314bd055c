"""The scripts as a user runs them: what they write and print, and what they do about mistakes."""

import json
import re
import runpy
import shutil
from unittest.mock import Mock

import matplotlib
import numpy as np
import pytest
import torch
from helpers import contents, make_model, run, train_tiny

import data
import evaluate
import plot_attention
import train
from constants import PROJECT_DIR
from data_utils import run_script
from model import Trainer, load_checkpoint, save_checkpoint

MODULES = ["constants", "data_utils", "data", "model", "train", "evaluate", "plot_attention"]
ROW = ",".join(map(str, np.sin(np.arange(50)).round(4)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        train_tiny(patch, folder)
    return folder


@pytest.fixture
def artifacts(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def figures(monkeypatch):
    """The figures that plot_attention draws, with a backend whose own format is not PNG."""
    matplotlib.use("svg")
    drawn, draw = [], plot_attention.plot_attention
    monkeypatch.setattr(plot_attention, "plot_attention", lambda *a: drawn.append(draw(*a)) or drawn[-1])
    return drawn


def test_train_saves_the_run_in_one_file_and_says_what_to_run_next(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "a folder" / "in another"
    train_tiny(monkeypatch, folder)
    out = capsys.readouterr().out
    assert "epoch  2" in out and f'python evaluate.py --artifacts "{folder}"\n' in out
    assert "train: 35 normal, 35 anomalous\n" in out and list(contents(folder)) == [folder / "model.pt"]
    _, saved = load_checkpoint(folder / "model.pt")
    assert saved["data"]["dataset_size"] == 100 and len(saved["history"]["val_loss"]) == 2


def test_evaluate_writes_what_it_prints_and_on_other_data_only_prints(artifacts, monkeypatch, capsys):
    run(monkeypatch, evaluate, "--artifacts", artifacts)
    out, before = capsys.readouterr().out, contents(artifacts)
    metrics = json.loads((artifacts / "metrics.json").read_text())
    model, saved = load_checkpoint(artifacts / "model.pt")
    test = data.make_splits(saved["data"]).test
    probability, attention = model.predict(test.series)
    assert metrics["accuracy"] == np.mean(probability.argmax(axis=1) == test.labels)
    mass = (attention * test.flat_mask).sum() / test.labels.sum()
    assert metrics["attention"]["mass"] == pytest.approx(mass)
    assert metrics["marked"] == {"normal": 0, "anomalous": 10}
    for value in (metrics["accuracy"], metrics["roc_auc"], *metrics["blind_attention"].values(), mass):
        assert f"{value:.4f}" in out
    options = ("--set", "data.noise=0.1", "--set", "data.seed=1", "--set", "data.dataset_size=200")
    run(monkeypatch, evaluate, "--artifacts", artifacts, *options)
    assert capsys.readouterr().out.startswith("tested on 40 generated sine waves\n")
    assert contents(artifacts) == before


def test_the_same_settings_give_the_same_run_and_each_seed_matters(trained, tmp_path, monkeypatch):
    folders = [trained, *(tmp_path / seed for seed in ("data.seed=0", "data.seed=1", "training.seed=1"))]
    for folder in folders[1:]:
        train_tiny(monkeypatch, folder, folder.name)
    models = [load_checkpoint(folder / "model.pt")[0] for folder in folders]
    first, *others = [model.pool.query.weight.tolist() for model in models]
    assert [weights == first for weights in others] == [True, False, False]


def test_plot_shows_a_normal_and_an_anomalous_series(artifacts, tmp_path, monkeypatch, figures):
    run(monkeypatch, plot_attention, "--artifacts", artifacts)
    assert (artifacts / "attention.png").read_bytes().startswith(b"\x89PNG")
    model, saved = load_checkpoint(artifacts / "model.pt")
    test = data.make_splits(saved["data"]).test
    for column, name in enumerate(("normal", "anomalous")):
        index = np.flatnonzero(test.labels == column)[0]
        probability, attention = model.predict(test.series[[index]])
        above, middle, below = figures[0].axes[column::2]
        assert above.get_title().startswith(f"series {index}, truly {name}\npredicted ")
        np.testing.assert_array_equal(above.lines[0].get_ydata(), test.series[index, :, 0])
        drawn = middle.collections[0].get_paths()[0].vertices[:, 1].max()
        assert drawn == pytest.approx(attention.max(), rel=1e-5)
        # Log-odds are linear in the states: attention weighs those of the states alone.
        alone, whole = (np.log(p / (1 - p)) for p in (below.lines[0].get_ydata(), probability.max()))
        assert attention[0] @ alone == pytest.approx(whole, abs=1e-3)
        assert [len(axis.patches) for axis in (above, middle, below)] == [column] * 3
    steps = np.flatnonzero(test.flat_mask[index])
    assert above.patches[0].get_x() == steps[0] - 0.5 and above.patches[0].get_width() == len(steps)
    screen = "matplotlib.backend_bases.FigureCanvasBase.required_interactive_framework"
    monkeypatch.setattr(screen, "tk")
    monkeypatch.setattr(plot_attention.plt, "show", lambda: shown.append(True))
    output, shown = tmp_path / "one.SVG", []
    run(monkeypatch, plot_attention, "--artifacts", artifacts, "--index", 19, "--output", output)
    assert figures[1].axes[0].get_title().startswith("series 19,")
    assert len(figures[1].axes) == 3 and b"<svg" in output.read_bytes() and shown


def test_plot_and_print_series_of_a_file(artifacts, tmp_path, monkeypatch, capsys, figures):
    series, path = np.random.default_rng(0).normal(size=(5, 50)), tmp_path / "mine.csv"
    np.savetxt(path, series, delimiter=",")
    run(monkeypatch, plot_attention, "--artifacts", artifacts, "--series", path)
    model, _ = load_checkpoint(artifacts / "model.pt")
    lines = capsys.readouterr().out.splitlines()
    for index, (probability, attention) in enumerate(zip(*model.predict(series))):
        said = f"{model.classes[probability.argmax()]}, p = {probability.max():.3f}"
        assert f"series {index}: predicted {said}, most attention at step {attention.argmax()}" in lines
    assert len(figures[0].axes) == 9 and not figures[0].axes[0].patches  # three drawn, no truth to shade
    wave = np.sin(np.linspace(0, 6, 50))  # it begins with 0, which makes no header
    np.savetxt(path, wave)  # one value per line is one series
    np.testing.assert_array_equal(plot_attention.read_series(path), wave[None, :, None])


@pytest.mark.parametrize("name", MODULES)
def test_importing_a_module_does_nothing(tmp_path, monkeypatch, capsys, name):
    def state():
        draws = torch.get_rng_state().tolist(), str(np.random.get_state())
        return draws, torch.get_num_threads(), dict(matplotlib.rcParams), contents(tmp_path)

    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(3)
    before = state()
    runpy.run_path(f"{PROJECT_DIR / name}.py")
    assert state() == before and capsys.readouterr() == ("", "")
    torch.set_num_threads(1)


def assert_one_line(main, said, capsys):
    """`main` as a script says what is wrong in one line and exits with 2."""
    with pytest.raises(SystemExit) as stop:
        run_script(main)
    errors = capsys.readouterr().err
    assert stop.value.code == 2 and errors.startswith("error: ") and errors.count("\n") == 1
    assert re.search(said, errors), errors


@pytest.mark.parametrize(
    "text, said",
    [
        ("", r"mine.csv: series must have the shape .*, got \(0,\).*one series per row"),
        (f"{ROW}\n{ROW},1\n", "mine.csv: .*inhomogeneous"),
        ("1\n" * 51, r"\(T, C\) of the series is \(51, 1\), in the training \(50, 1\)"),
        (",".join(map(str, range(50))) + f"\n{ROW}\n", "first row is 0, 1, 2 and so on, like a header"),
        (ROW.encode("utf-16"), "mine.csv: .*decode"),
    ],
)
def test_files_that_are_no_series(artifacts, tmp_path, monkeypatch, capsys, text, said):
    (tmp_path / "mine.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    before, options = contents(tmp_path), ("--artifacts", artifacts, "--series", tmp_path / "mine.csv")
    assert_one_line(lambda: run(monkeypatch, plot_attention, *options), said, capsys)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "script, options, said",
    [
        (train, ("--set", "data.noise=-1"), r"data.noise must be in \(0.0, 100.0\).*got -1"),
        (train, ("--set", "model.patch_length=7"), "T = 500 must be a multiple of 7"),
        (train, ("--artifacts", "mine.txt"), "mine.txt"),
        (train, ("--artifacts", "mine"), "mine/model.pt was not saved by train.py of this version"),
        (train, ("--artifacts", "broken"), "broken/model.pt was not saved by train.py of this version"),
        (evaluate, ("--artifacts", "nowhere"), "nowhere/model.pt is missing, or holds no Attention"),
        (evaluate, ("--artifacts", "mine"), "was trained on series of your own: evaluate it"),
        (evaluate, ("--set", "data.noise=0.1"), "other data need another seed, as in --set data.seed=1"),
        (plot_attention, ("--artifacts", "mine"), "was trained on series of your own: evaluate it"),
        (plot_attention, ("--index", "20"), r"--index must lie in 0 \.\. 19, got 20"),
        (plot_attention, ("--output", "a.txt"), "a.txt: Format 'txt' is not supported"),
    ],
)
def test_wrong_options(artifacts, tmp_path, monkeypatch, capsys, script, options, said):
    """A mistake is found before any training, and every file stays as it was."""
    monkeypatch.setattr(Trainer, "fit", lambda *args: pytest.fail("the training began"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("the reader's own")
    save_checkpoint(tmp_path / "mine" / "model.pt", make_model())  # after a training in Python
    (tmp_path / "broken").mkdir()
    torch.save({"run": "of another program"}, tmp_path / "broken" / "model.pt")
    before = contents(tmp_path)
    assert_one_line(lambda: run(monkeypatch, script, "--artifacts", artifacts, *options), said, capsys)
    assert contents(tmp_path) == before


def test_what_was_derived_from_the_older_network_goes_and_nothing_else(artifacts, monkeypatch):
    names = (".writing/novel.txt", "thesis.txt", "model.pt.tmp", "history.json")
    for name in (*names, "metrics.json", "attention.png"):
        (artifacts / name).parent.mkdir(exist_ok=True)
        (artifacts / name).write_text("old")
    train_tiny(monkeypatch, artifacts)
    assert contents(artifacts).keys() == {artifacts / name for name in (*names, "model.pt")}


def test_a_full_disk_leaves_the_old_model_whole(artifacts, monkeypatch, capsys):
    def full(_, path):
        path.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    before = contents(artifacts)
    monkeypatch.setattr(torch, "save", full)
    assert_one_line(lambda: train_tiny(monkeypatch, artifacts, "data.seed=1"), "No space left", capsys)
    assert contents(artifacts) == before


def test_ctrl_c_stops_and_changes_nothing(artifacts, monkeypatch):
    (artifacts / "metrics.json").write_text("of this run")
    before = contents(artifacts)
    monkeypatch.setattr(train, "print_epoch", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(SystemExit) as stop:
        run_script(lambda: train_tiny(monkeypatch, artifacts))
    assert stop.value.code == 130 and contents(artifacts) == before

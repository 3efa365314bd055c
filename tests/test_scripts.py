import io
import json
import os
import shutil
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch

import data
import evaluate
import plot_attention
import train
from constants import PROJECT_DIR
from helpers import run, tiny_options, train_tiny
from model import load_checkpoint

matplotlib.use("agg")

PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        assert train_tiny(patch, folder) == 0
    return folder


@pytest.fixture
def artifacts(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_data_prints_the_splits_and_draws_samples(tmp_path, monkeypatch, capsys):
    run(monkeypatch, data, "--artifacts", tmp_path, "--set", "data.dataset_size=100")
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table[1][:3] == ["train", "70", "35"] and table[2][:3] == ["val", "10", "5"]
    assert (tmp_path / "samples.png").read_bytes().startswith(PNG)


def test_train_saves_the_run_and_says_what_to_run_next(tmp_path, monkeypatch, capsys):
    tmp_path = tmp_path / "a folder" / "in another"
    assert train_tiny(monkeypatch, tmp_path) == 0
    out = capsys.readouterr().out
    assert "epoch  2" in out and f"python evaluate.py --artifacts '{tmp_path}'\n" in out
    assert "will replace" not in out
    history = json.loads((tmp_path / "history.json").read_text())
    for key in ("train_loss", "val_loss", "val_accuracy", "seconds"):
        assert len(history[key]) == 2
    assert history["best_epoch"] in (1, 2)
    assert (tmp_path / "history.png").read_bytes().startswith(PNG)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "history.json",
        "history.png",
        "model.pt",
    ]


def test_the_run_is_of_the_training_seed_and_chosen_on_the_validation_split(tmp_path, monkeypatch):
    train_tiny(monkeypatch, tmp_path / "zero")
    model, config = load_checkpoint(tmp_path / "zero" / "model.pt")
    val = data.make_splits(config["data"]).val
    probability, _ = model.predict(val.series)
    loss = -np.log(np.where(val.labels == 1, probability, 1 - probability)).mean()
    history = json.loads((tmp_path / "zero" / "history.json").read_text())
    assert min(history["val_loss"]) == pytest.approx(loss, rel=1e-4)

    train_tiny(monkeypatch, tmp_path / "one", "training.seed=1")
    other, _ = load_checkpoint(tmp_path / "one" / "model.pt")
    assert not np.array_equal(probability, other.predict(val.series)[0])


def test_evaluate_writes_what_it_prints(artifacts, monkeypatch, capsys):
    run(monkeypatch, evaluate, "--artifacts", artifacts)
    out = capsys.readouterr().out
    metrics = json.loads((artifacts / "metrics.json").read_text())
    model, config = load_checkpoint(artifacts / "model.pt")
    test = data.make_splits(config["data"]).test
    probability, attention = model.predict(test.series)
    flat = test.labels == 1
    assert metrics["accuracy"] == np.mean((probability > 0.5) == flat)
    assert metrics["attention"]["mass"] == pytest.approx((attention * test.flat_mask).sum() / flat.sum())
    assert np.sum(metrics["confusion_matrix"]) == 20
    for value in (metrics["accuracy"], metrics["roc_auc"], *metrics["attention"].values()):
        assert f"{value:.4f}" in out
    assert f"{test.flat_mask[flat].mean():.4f}" in out  # what a uniform attention scores


def test_evaluate_on_other_data_settings(artifacts, tmp_path, monkeypatch):
    _, config = load_checkpoint(artifacts / "model.pt")
    config["data"] |= {"seed": 1, "dataset_size": 200, "noise": 0.1}
    (tmp_path / "noisy.json").write_text(json.dumps(config))
    run(monkeypatch, evaluate, "--artifacts", artifacts, "--config", tmp_path / "noisy.json")
    metrics = json.loads((artifacts / "metrics.json").read_text())
    assert np.sum(metrics["confusion_matrix"]) == 40
    assert metrics["data"] == config["data"]


@pytest.mark.parametrize(
    "change",
    [{"test_fraction": 0.5}, {"val_fraction": 0.2}, {"normal_ratio": 0.4}, {"dataset_size": 200}],
)
def test_evaluate_refuses_to_test_on_series_of_the_training(artifacts, tmp_path, monkeypatch, change):
    _, config = load_checkpoint(artifacts / "model.pt")
    config["data"] |= change
    (tmp_path / "leak.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=f"data.{next(iter(change))} must be"):
        run(monkeypatch, evaluate, "--artifacts", artifacts, "--config", tmp_path / "leak.json")
    config["data"]["seed"] = 1
    (tmp_path / "other.json").write_text(json.dumps(config))
    run(monkeypatch, evaluate, "--artifacts", artifacts, "--config", tmp_path / "other.json")
    assert json.loads((artifacts / "metrics.json").read_text())["data"]["seed"] == 1


def test_each_epoch_is_shown_at_once(monkeypatch):
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output))
    train.print_epoch(1, train_loss=0.5, val_loss=0.4, val_accuracy=0.75, seconds=1.0)
    assert output.getvalue().split() == (
        b"epoch 1 train loss 0.5000 val loss 0.4000 val accuracy 0.7500 1.0 s".split()
    )


def test_two_runs_of_the_same_settings_agree_and_each_seed_matters(artifacts, tmp_path, monkeypatch):
    def weights_and_metrics(folder, *extra):
        train_tiny(monkeypatch, folder, *extra)
        run(monkeypatch, evaluate, "--artifacts", folder)
        return (folder / "model.pt").read_bytes(), json.loads((folder / "metrics.json").read_text())

    first = weights_and_metrics(tmp_path / "one")
    assert weights_and_metrics(tmp_path / "two") == first
    assert weights_and_metrics(tmp_path / "three", "training.seed=1")[0] != first[0]
    assert weights_and_metrics(tmp_path / "four", "data.seed=1")[1]["attention"] != first[1]["attention"]


@pytest.fixture
def one_thread_afterwards():
    yield
    torch.set_num_threads(1)


def test_more_threads_give_the_same_figures_to_three_digits(
    tmp_path, monkeypatch, one_thread_afterwards
):
    figures = []
    for threads in (1, 2):
        monkeypatch.setattr(train, "NUM_THREADS", threads)
        monkeypatch.setattr(evaluate, "NUM_THREADS", threads)
        train_tiny(
            monkeypatch, tmp_path / str(threads), "data.dataset_size=2000", "training.max_epochs=5"
        )
        assert torch.get_num_threads() == threads
        run(monkeypatch, evaluate, "--artifacts", tmp_path / str(threads))
        metrics = json.loads((tmp_path / str(threads) / "metrics.json").read_text())
        figures.append([metrics["accuracy"], metrics["roc_auc"], *metrics["attention"].values()])
    assert figures[0] == pytest.approx(figures[1], abs=5e-4)


def test_the_run_carries_its_settings_to_any_place(tmp_path):
    """All three scripts in one process, from another folder, warnings being errors."""
    folder = tmp_path / "a folder in Zürich"
    script = (
        "import runpy, sys\n"
        "project, folder, *settings = sys.argv[1:]\n"
        "for name, extra in ('train.py', settings), ('evaluate.py', []), ('plot_attention.py', []):\n"
        "    sys.argv = [name, '--artifacts', folder, *extra]\n"
        "    try:\n"
        "        runpy.run_path(f'{project}/{name}', run_name='__main__')\n"
        "    except SystemExit as stop:\n"
        "        assert not stop.code, stop.code\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, PROJECT_DIR, folder.name, *tiny_options()],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(PROJECT_DIR)},
        capture_output=True,
        encoding="utf-8",
    )
    assert result.returncode == 0 and result.stderr == ""
    assert f"python evaluate.py --artifacts '{folder.name}'" in result.stdout
    assert json.loads((folder / "metrics.json").read_text())["data"]["dataset_size"] == 100
    assert (folder / "attention.png").read_bytes().startswith(PNG)


def test_plot_shows_a_normal_and_an_anomalous_series(artifacts, tmp_path, monkeypatch):
    figures = []
    draw = plot_attention.plot_attention
    monkeypatch.setattr(
        plot_attention, "plot_attention", lambda *args: figures.append(draw(*args)) or figures[-1]
    )
    run(monkeypatch, plot_attention, "--artifacts", artifacts)
    titles = [axis.get_title() for axis in figures[0].axes]
    assert "truly normal" in titles[0] and "truly anomalous" in titles[1]
    assert (artifacts / "attention.png").read_bytes().startswith(PNG)
    model, config = load_checkpoint(artifacts / "model.pt")
    test = data.make_splits(config["data"]).test
    for column, label in enumerate((0, 1)):
        number = np.flatnonzero(test.labels == label)[0]
        assert titles[column].startswith(f"series {number},")
        _, attention = model.predict(test.series[number])
        signal, below = figures[0].axes[column], figures[0].axes[column + 2]
        line, area = signal.collections[0], below.collections[0]
        np.testing.assert_allclose(line.get_segments()[10][0], [10, test.series[number, 10]], rtol=1e-6)
        np.testing.assert_allclose(line.get_array(), attention[0, :-1], rtol=1e-5)
        assert area.get_paths()[0].vertices[:, 1].max() == pytest.approx(attention.max(), rel=1e-5)
        assert len(signal.patches) == len(below.patches) == label
        if label:
            steps = np.flatnonzero(test.flat_mask[number])
            assert signal.patches[0].get_x() == steps[0]
            assert signal.patches[0].get_width() == steps[-1] - steps[0]

    run(
        monkeypatch,
        plot_attention,
        "--artifacts",
        artifacts,
        "--index",
        19,
        "--output",
        tmp_path / "one.svg",
    )
    assert len(figures[1].axes) == 3  # signal, attention, colour bar
    assert b"<svg" in (tmp_path / "one.svg").read_bytes()


@pytest.mark.parametrize("backend, windows", [("agg", 0), ("tkagg", 1)])
def test_a_window_opens_where_there_is_a_screen(artifacts, monkeypatch, backend, windows):
    shown = []
    monkeypatch.setattr(plot_attention.plt, "get_backend", lambda: backend)
    monkeypatch.setattr(plot_attention.plt, "show", lambda: shown.append(True))
    run(monkeypatch, plot_attention, "--artifacts", artifacts)
    assert len(shown) == windows


def test_plot_draws_series_of_a_file(artifacts, tmp_path, monkeypatch, capsys):
    figures = []
    draw = plot_attention.plot_attention
    monkeypatch.setattr(
        plot_attention, "plot_attention", lambda *args: figures.append(draw(*args)) or figures[-1]
    )
    series = np.random.default_rng(0).normal(size=(5, 60))  # another length than in training
    np.savetxt(tmp_path / "mine.csv", series, delimiter=",")
    mine = ("--artifacts", artifacts, "--series", tmp_path / "mine.csv")
    run(monkeypatch, plot_attention, *mine)
    assert "series 0, 1, 2 of 5" in capsys.readouterr().out
    run(monkeypatch, plot_attention, *mine, "--index", 4)
    model, _ = load_checkpoint(artifacts / "model.pt")
    probability, attention = model.predict(series)
    assert figures[0].axes[1].get_title() == (f"series 1\nprobability of anomalous {probability[1]:.3f}")
    assert figures[1].axes[0].get_title().startswith("series 4\n")
    np.testing.assert_allclose(
        figures[1].axes[0].collections[0].get_array(), attention[4, :-1], rtol=1e-4
    )
    assert not figures[0].axes[0].patches  # no truth to shade

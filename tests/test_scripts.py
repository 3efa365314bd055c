import json
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

import data
import evaluate
import plot_attention
import train
from constants import PROJECT_DIR
from data_utils import run_script
from model import load_checkpoint

matplotlib.use("agg")

TINY = [
    "data.dataset_size=100",
    "data.num_points=50",
    "data.flat_location=[0, 0.8]",
    "model.patch_length=5",
    "model.hidden_size=3",
    "model.attention_size=4",
    "training.max_epochs=2",
]
PNG = b"\x89PNG"


def run(monkeypatch, script, *arguments):
    """Run a script's main in this process, which saves the seconds that the imports take."""
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, arguments)])
    return script.main()


def train_tiny(monkeypatch, artifacts, *extra):
    settings = [word for override in (*TINY, *extra) for word in ("--set", override)]
    return run(monkeypatch, train, "--artifacts", artifacts, *settings)


@pytest.fixture
def artifacts(tmp_path, monkeypatch, capsys):
    assert train_tiny(monkeypatch, tmp_path / "run") == 0
    capsys.readouterr()
    return tmp_path / "run"


def test_data_prints_the_splits_and_draws_samples(tmp_path, monkeypatch, capsys):
    run(monkeypatch, data, "--artifacts", tmp_path, "--set", "data.dataset_size=100")
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table[1][:3] == ["train", "70", "35"] and table[2][:3] == ["val", "10", "5"]
    assert (tmp_path / "samples.png").read_bytes().startswith(PNG)


def test_train_saves_the_run_and_says_what_to_run_next(tmp_path, monkeypatch, capsys):
    assert train_tiny(monkeypatch, tmp_path) == 0
    out = capsys.readouterr().out
    assert "epoch  2" in out and f"python evaluate.py --artifacts {tmp_path}\n" in out
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


def test_ctrl_c_before_the_first_epoch_is_done_writes_nothing(tmp_path, monkeypatch, capsys):
    def press_ctrl_c(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(train.Trainer, "_train_epoch", press_ctrl_c)
    monkeypatch.setattr(sys, "argv", ["train.py", "--artifacts", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as stop:
        run_script(train.main)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "\ninterrupted\n"
    assert not (tmp_path / "run").exists()


def test_ctrl_c_later_keeps_the_best_model_so_far(tmp_path, monkeypatch, capsys):
    def press_ctrl_c(history):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "print_epoch", press_ctrl_c)
    assert train_tiny(monkeypatch, tmp_path) == 130
    assert "interrupted after" in capsys.readouterr().out
    assert json.loads((tmp_path / "history.json").read_text())["best_epoch"] == 1
    load_checkpoint(tmp_path / "model.pt")


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
    config["data"] |= {"dataset_size": 200, "noise": 0.1}
    (tmp_path / "noisy.json").write_text(json.dumps(config))
    run(monkeypatch, evaluate, "--artifacts", artifacts, "--config", tmp_path / "noisy.json")
    metrics = json.loads((artifacts / "metrics.json").read_text())
    assert np.sum(metrics["confusion_matrix"]) == 40
    assert metrics["data"] == config["data"]


@pytest.mark.parametrize(
    "change", [{"test_fraction": 0.5}, {"val_fraction": 0.2}, {"normal_ratio": 0.4}]
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


def test_two_runs_of_the_same_settings_agree(tmp_path, monkeypatch):
    metrics = []
    for name in ("one", "two"):
        train_tiny(monkeypatch, tmp_path / name)
        run(monkeypatch, evaluate, "--artifacts", tmp_path / name)
        metrics.append((tmp_path / name / "metrics.json").read_text())
    assert metrics[0] == metrics[1]
    train_tiny(monkeypatch, tmp_path / "other", "training.seed=1", "data.seed=1")
    run(monkeypatch, evaluate, "--artifacts", tmp_path / "other")
    assert (tmp_path / "other" / "metrics.json").read_text() != metrics[0]


def test_plot_shows_a_normal_and_an_anomalous_series(artifacts, tmp_path, monkeypatch):
    figures = []
    draw = plot_attention.plot_attention
    monkeypatch.setattr(
        plot_attention, "plot_attention", lambda *args: figures.append(draw(*args)) or figures[-1]
    )
    run(monkeypatch, plot_attention, "--artifacts", artifacts)
    titles = [axis.get_title() for axis in figures[0].axes]
    assert titles[0].startswith("truly normal") and titles[1].startswith("truly anomalous")
    assert (artifacts / "attention.png").read_bytes().startswith(PNG)
    model, config = load_checkpoint(artifacts / "model.pt")
    test = data.make_splits(config["data"]).test
    for column, label in enumerate((0, 1)):
        number = np.flatnonzero(test.labels == label)[0]
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
    with pytest.raises(ValueError, match="--index must lie in 0 .. 19"):
        run(monkeypatch, plot_attention, "--artifacts", artifacts, "--index", 20)


@pytest.mark.parametrize(
    "script, arguments, message",
    [
        (
            "train.py",
            ["--artifacts", "run", "--set", "data.noise=-1"],
            "data.noise must be a number from 0",
        ),
        ("evaluate.py", ["--artifacts", "nowhere"], "run train.py first"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(tmp_path, script, arguments, message):
    result = subprocess.run(
        [sys.executable, PROJECT_DIR / script, *arguments], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []

"""The scripts as a user runs them: what they write and print, and what they do about mistakes."""

import json
import re
import shutil

import matplotlib
import numpy as np
import pytest
from helpers import contents, run, tiny_options, train_tiny

import data
import evaluate
import plot_attention
import train
from constants import SETTINGS
from data_utils import UserError, load_config, run_script
from model import Trainer, load_checkpoint

matplotlib.use("agg")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        train_tiny(patch, folder)
    return folder


@pytest.fixture
def artifacts(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_train_saves_the_run_and_says_what_to_run_next(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "a folder" / "in another"
    train_tiny(monkeypatch, folder)
    out = capsys.readouterr().out
    assert "epoch  2" in out and f'python evaluate.py --artifacts "{folder}"\n' in out
    history = json.loads((folder / "history.json").read_text())
    for key in ("train_loss", "val_loss", "val_accuracy", "seconds"):
        assert len(history[key]) == 2
    assert history["best_epoch"] in (1, 2)
    assert history["total_seconds"] == pytest.approx(sum(history["seconds"]))
    assert sorted(contents(folder)) == [folder / n for n in ("history.json", "history.png", "model.pt")]


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
    share = test.flat_mask[flat].mean()
    uniform = [metrics["uniform_attention"][name] for name in ("mass", "pointing", "auc")]
    assert uniform == pytest.approx([share, share, 0.5])
    assert np.sum(metrics["confusion_matrix"]) == 20 and metrics["data"] == config["data"]
    for value in (metrics["accuracy"], metrics["roc_auc"], *metrics["attention"].values(), share):
        assert f"{value:.4f}" in out


def test_a_new_metric_is_printed_and_compared_by_itself(artifacts, monkeypatch, capsys):
    """As the README says: an entry in the dict of metrics, and no more."""
    measure, classify = evaluate.attention_metrics, evaluate.classification_metrics
    more = lambda attention, mask: measure(attention, mask) | {"peak": attention.max(axis=1).mean()}
    monkeypatch.setattr(evaluate, "attention_metrics", more)
    monkeypatch.setattr(
        evaluate, "classification_metrics", lambda *a: classify(*a) | {"mean": np.mean(a[1])}
    )
    run(monkeypatch, evaluate, "--artifacts", artifacts)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    metrics = json.loads((artifacts / "metrics.json").read_text())
    assert ["mean", f"{metrics['mean']:.4f}"] in lines
    assert ["peak", f"{metrics['attention']['peak']:.4f}", "0.0200"] in lines  # uniform: 1 of 50 steps


def test_evaluate_on_other_data_only_prints(artifacts, monkeypatch, capsys):
    run(monkeypatch, evaluate, "--artifacts", artifacts)
    before = contents(artifacts)
    capsys.readouterr()
    options = ("--set", "data.noise=0.1", "--set", "data.seed=1", "--set", "data.dataset_size=200")
    run(monkeypatch, evaluate, "--artifacts", artifacts, *options)
    assert capsys.readouterr().out.startswith("tested on 40 generated sine waves\n")
    assert contents(artifacts) == before


def test_the_same_settings_give_the_same_run_and_each_seed_matters(artifacts, tmp_path, monkeypatch):
    def weights_and_metrics(folder, *extra):
        train_tiny(monkeypatch, folder, *extra)
        run(monkeypatch, evaluate, "--artifacts", folder)
        return (folder / "model.pt").read_bytes(), json.loads((folder / "metrics.json").read_text())

    first = weights_and_metrics(tmp_path / "one")
    assert weights_and_metrics(tmp_path / "two") == first
    assert weights_and_metrics(tmp_path / "three", "training.seed=1")[0] != first[0]
    assert weights_and_metrics(tmp_path / "four", "data.seed=1")[1]["attention"] != first[1]["attention"]


# ---------------------------------------------------------------- pictures


@pytest.fixture
def figures(monkeypatch):
    """The figures that plot_attention draws."""
    drawn, draw = [], plot_attention.plot_attention
    monkeypatch.setattr(
        plot_attention, "plot_attention", lambda *args: drawn.append(draw(*args)) or drawn[-1]
    )
    return drawn


def test_plot_shows_a_normal_and_an_anomalous_series(artifacts, tmp_path, monkeypatch, figures):
    run(monkeypatch, plot_attention, "--artifacts", artifacts)
    assert (artifacts / "attention.png").read_bytes().startswith(b"\x89PNG")
    model, config = load_checkpoint(artifacts / "model.pt")
    test = data.make_splits(config["data"]).test
    for column, (label, name) in enumerate([(0, "normal"), (1, "anomalous")]):
        index = np.flatnonzero(test.labels == label)[0]
        _, attention = model.predict(test.series[index])
        signal, below = figures[0].axes[column], figures[0].axes[column + 2]
        assert signal.get_title().startswith(f"series {index}, truly {name}\n")
        line, area = signal.collections[0], below.collections[0]
        np.testing.assert_allclose(line.get_segments()[10][0], [10, test.series[index, 10]], rtol=1e-6)
        np.testing.assert_allclose(line.get_array(), attention[0, :-1], rtol=1e-5)
        assert line.get_clim() == (0, 5 / 50)
        assert area.get_paths()[0].vertices[:, 1].max() == pytest.approx(attention.max(), rel=1e-5)
        assert len(signal.patches) == len(below.patches) == label
    assert signal.patches[0].get_x() == np.flatnonzero(test.flat_mask[index])[0] - 0.5

    output = tmp_path / "one.svg"
    run(monkeypatch, plot_attention, "--artifacts", artifacts, "--index", 19, "--output", output)
    assert figures[1].axes[0].get_title().startswith("series 19,")
    assert len(figures[1].axes) == 3 and b"<svg" in output.read_bytes()


@pytest.mark.parametrize("backend, windows", [("agg", 0), ("tkagg", 1)])
def test_a_window_opens_where_there_is_a_screen(artifacts, monkeypatch, backend, windows):
    shown = []
    monkeypatch.setattr(plot_attention.plt, "get_backend", lambda: backend)
    monkeypatch.setattr(plot_attention.plt, "show", lambda: shown.append(True))
    run(monkeypatch, plot_attention, "--artifacts", artifacts)
    assert len(shown) == windows


def test_plot_and_print_series_of_a_file(artifacts, tmp_path, monkeypatch, capsys, figures):
    series = np.random.default_rng(0).normal(size=(5, 50))
    np.savetxt(tmp_path / "mine.csv", series, delimiter=",")
    mine = ("--artifacts", artifacts, "--series", tmp_path / "mine.csv")
    run(monkeypatch, plot_attention, *mine)
    out = capsys.readouterr().out
    model, _ = load_checkpoint(artifacts / "model.pt")
    probability, attention = model.predict(series)
    for index, value in enumerate(probability):
        verdict = "anomalous" if value > 0.5 else "normal"
        (line,) = [line for line in out.splitlines() if line.startswith(f"series {index}: ")]
        assert line.startswith(f"series {index}: {verdict}, p(anomalous) = {value:.3f}")
        assert ("; half of the attention: steps " in line) == (value > 0.5)
    assert len(figures[0].axes) == 7 and not figures[0].axes[0].patches  # three drawn, no truth to shade
    run(monkeypatch, plot_attention, *mine, "--index", 4)
    drawn = figures[1].axes[0].collections[0].get_array()
    np.testing.assert_allclose(drawn, attention[4, :-1], rtol=1e-4)

    np.savetxt(tmp_path / "mine.csv", series[2])  # one value per line is one series
    capsys.readouterr()
    run(monkeypatch, plot_attention, *mine)
    assert f"series 0: {'anomalous' if probability[2] > 0.5 else 'normal'}" in capsys.readouterr().out


def test_half_of_the_attention_in_the_fewest_steps():
    half = plot_attention.half_of(np.array([0.02, 0.2, 0.2, 0.08, 0.3, 0.2]))
    assert half == [(1, 2), (4, 5)]  # 0.3 and one 0.2 would be enough: equal weights stay together
    assert plot_attention.half_of(np.array([0.1, 0.6, 0.3])) == [(1, 1)]


@pytest.mark.parametrize("labels, channels", [([False, True], 1), (np.array([0, 1]), 3), (None, 1)])
def test_plot_takes_labels_of_any_type_and_channels(labels, channels):
    series = np.random.default_rng(0).normal(size=(2, 20, channels)).squeeze()
    attention = np.full((2, 20), 0.05)
    figure = plot_attention.plot_attention([0, 1], series, np.array([0.1, 0.9]), attention, labels)
    assert [len(axis.collections) for axis in figure.axes[:2]] == [channels, channels]
    truth = "" if labels is None else ", truly anomalous"
    assert figure.axes[1].get_title() == f"series 1{truth}\nanomalous, p(anomalous) = 0.900"
    for wrong, said in (([-1, 1], "got -1, 1"), ([1, 0, 1], "2 series need labels")):
        with pytest.raises(UserError, match=said):
            plot_attention.plot_attention([0, 1], series, np.array([0.1, 0.9]), attention, wrong)
    with pytest.raises(UserError, match=r"must be of the same \(N, T\)"):
        plot_attention.plot_attention([0], series[:1], np.array([0.1]), attention)
    one = plot_attention.plot_attention([7], series[:1], np.array([[0.2, 0.8]]), attention[:1], [1])
    assert one.axes[0].get_title() == "series 7, truly class 1\nclass 1, p = 0.800"


# ---------------------------------------------------------------- mistakes

ROW = ",".join(map(str, np.sin(np.arange(50)).round(4)))
COUNT = ",".join(map(str, range(50)))
TIMES = ",".join(f"{time:.3f}" for time in np.linspace(0, 6.283, 50))


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "input contained no data.*one series per row"),
        (f"{ROW}\n{ROW},1\n", "columns changed from 50 to 51"),
        ("0\n" * 51, "mine.csv: 51 values, trained on 50; it takes"),
        (f"{ROW}\n{ROW}\n".replace(",", ";"), "could not convert string.*separated by commas"),
        (f"{COUNT}\n{ROW}\n", "first row is 0, 1, 2 and so on"),
        ("nan" + ROW[3:], "mine.csv: series 0 holds NaN"),
        ("1\n\n" + "2\n" * 49, "mine.csv: an empty line"),
        (ROW.encode("utf-16"), "mine.csv"),
        (None, "No such file.*mine.csv"),
    ],
)
def test_files_that_are_no_series(artifacts, tmp_path, monkeypatch, capsys, text, said):
    if text is not None:
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "mine.csv").write_bytes(content)
    before = contents(tmp_path)
    options = ("--artifacts", artifacts, "--series", tmp_path / "mine.csv")
    assert_one_line(lambda: run(monkeypatch, plot_attention, *options), said, capsys)
    assert contents(tmp_path) == before


def assert_one_line(main, said, capsys):
    """`main` as a script says what is wrong in one line and exits with 2."""
    with pytest.raises(SystemExit) as stop:
        run_script(main)
    errors = capsys.readouterr().err
    assert stop.value.code == 2 and errors.startswith("error: ") and errors.count("\n") == 1
    assert re.search(said, errors), errors


def test_a_ramp_is_no_header(tmp_path):
    (tmp_path / "mine.csv").write_text(f"{TIMES}\n{ROW}\n")
    assert plot_attention.read_series(tmp_path / "mine.csv", 50).shape == (2, 50)


@pytest.mark.parametrize(
    "script, options, said",
    [
        (train, ("--config", "nowhere.json"), "No such file.*nowhere.json"),
        (train, ("--set", "data.noise=-1"), r"data.noise must be float in \[0, 100\], got -1"),
        (train, ("--artifacts", "mine.txt"), "mine.txt"),
        (train, ("--artifacts", "mine"), "mine holds model.pt, but no run of train.py: choose another"),
        (
            train,
            ("--artifacts", "own"),
            "own holds metrics.json, but no run of train.py: choose another",
        ),
        (evaluate, ("--artifacts", "nowhere"), "nowhere/model.pt is missing, or no checkpoint: run"),
        (
            evaluate,
            ("--artifacts", "mine"),
            "mine holds no run of train.py: evaluate series of your own",
        ),
        (plot_attention, ("--artifacts", "mine"), "mine holds no run of train.py"),
        (evaluate, ("--set", "data.noise=0.1"), "other data need another seed, as in --set data.seed=1"),
        (train, ("--set", "model.classes=3"), r"labels are \[0, 1\]: model.classes=3 needs as many"),
        (evaluate, ("--set", "model.patch_length=10"), "can only change settings of the data"),
        (plot_attention, ("--index", "20"), "--index must lie in 0 .. 19, got 20"),
        (plot_attention, ("--output", "a.txt"), "a picture must be one of .*png.*, got a.txt"),
        (plot_attention, ("--output", "mine.txt/p.png"), "mine.txt"),
    ],
)
def test_wrong_options(artifacts, tmp_path, monkeypatch, capsys, script, options, said):
    """A mistake is found before any training, and every file stays as it was."""
    monkeypatch.setattr(Trainer, "fit", lambda *args: pytest.fail("the training began"))
    monkeypatch.chdir(tmp_path)
    for path in ("mine.txt", "own/metrics.json"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("the reader's own")
    (tmp_path / "mine").mkdir()  # by save_checkpoint, after a training in Python
    shutil.copy(artifacts / "model.pt", "mine")
    before = contents(tmp_path)
    assert_one_line(lambda: run(monkeypatch, script, "--artifacts", artifacts, *options), said, capsys)
    assert contents(tmp_path) == before


def test_nothing_of_the_readers_is_touched(artifacts, monkeypatch):
    """The names that an earlier version took for its own folders, and others."""
    names = (".writing/novel.txt", ".ready/thesis.txt", "thesis.txt", "model.pt.tmp", "history.json.bak")
    for name in names:
        (artifacts / name).parent.mkdir(exist_ok=True)
        (artifacts / name).write_text("the reader's own")
    train_tiny(monkeypatch, artifacts)
    run(monkeypatch, evaluate, "--artifacts", artifacts)
    run(monkeypatch, plot_attention, "--artifacts", artifacts)
    kept = contents(artifacts)
    assert {kept[artifacts / name] for name in names} == {b"the reader's own"}
    run_files = {"model.pt", "history.json", "history.png", "metrics.json", "attention.png"}
    assert {str(path.relative_to(artifacts)) for path in kept} == run_files | set(names)


# ---------------------------------------------------------------- interruptions


def test_ctrl_c_stops_and_changes_nothing(artifacts, monkeypatch):
    def press_ctrl_c(*args, **results):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "print_epoch", press_ctrl_c)
    before = contents(artifacts)
    with pytest.raises(SystemExit) as stop:
        run_script(lambda: train_tiny(monkeypatch, artifacts))
    assert stop.value.code == 130 and contents(artifacts) == before


def test_a_training_without_a_finite_loss_changes_nothing(artifacts, monkeypatch, capsys):
    monkeypatch.setattr(Trainer, "_validate", lambda *args: (float("nan"), 0.5))
    before = contents(artifacts)
    assert_one_line(lambda: train_tiny(monkeypatch, artifacts), "try a lower learning rate", capsys)
    assert contents(artifacts) == before


def test_after_a_new_setting_the_same_folder_is_trained_again(artifacts, tmp_path, monkeypatch, capsys):
    config = load_config()
    monkeypatch.setitem(SETTINGS, "data.new_setting", (int, 0, 1))
    lacks = "of an older version .*the config lacks data.new_setting"
    assert_one_line(lambda: run(monkeypatch, evaluate, "--artifacts", artifacts), lacks, capsys)
    config["data"]["new_setting"] = 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    options = ("--config", tmp_path / "config.json", *tiny_options())
    run(monkeypatch, train, "--artifacts", artifacts, *options)
    run(monkeypatch, evaluate, "--artifacts", artifacts)


@pytest.mark.parametrize(
    "failing", ["torch.save", "pathlib.Path.write_text", "matplotlib.figure.Figure.savefig"]
)
def test_a_full_disk_while_a_run_is_saved(artifacts, monkeypatch, capsys, failing):
    """Whatever is there afterwards is whole and belongs to the model that is there."""
    run(monkeypatch, evaluate, "--artifacts", artifacts)
    old = contents(artifacts)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(failing, full)
    main = lambda: train_tiny(monkeypatch, artifacts, "training.seed=1")
    assert_one_line(main, "No space left on device", capsys)
    left = contents(artifacts)
    assert set(left) <= {artifacts / "model.pt", artifacts / "history.json"}
    is_new = left[artifacts / "model.pt"] != old[artifacts / "model.pt"]
    assert is_new == (failing != "torch.save")
    load_checkpoint(artifacts / "model.pt")

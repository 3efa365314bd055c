"""Whatever happens to a process, the files of a run are whole, and of one run."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_scripts import run, settings, train_tiny

import evaluate
import plot_attention
import train
from constants import PROJECT_DIR
from data_utils import run_script, write_files
from model import load_checkpoint

RUN_FILES = {"model.pt", "history.json", "history.png"}

# Forks one train.py for each event up to the last, in a copy of the old run's folder. The fork kills
# itself at its event: a forward pass, or something that the operating system is asked to do there.
KILLER = """
import os, runpy, shutil, signal, sys
import torch, train  # here and now, with what they load later, so that each fork need not
torch.optim.Adam([torch.zeros(1)])
train.figure_bytes(train.Figure())

old, last_event, *arguments = sys.argv[1:]
for event in range(1, int(last_event) + 1):
    folder = shutil.copytree(old, f"{old}-{event}")
    if os.fork():
        continue
    def count(_, details):
        global event
        if details and folder in str(details[0]):
            event -= 1
            if event == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    def count_forward(module, _):
        if "Attention" in type(module).__name__:
            count("forward", [folder])
    sys.addaudithook(count)
    torch.nn.modules.module.register_module_forward_pre_hook(count_forward)
    sys.argv = ["train.py", "--artifacts", folder, *arguments]
    runpy.run_path("train.py", run_name="__main__")
for event in range(int(last_event)):
    os.wait()
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run that all three scripts have worked on."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        train_tiny(patch, folder)
        run(patch, evaluate, "--artifacts", folder)
        run(patch, plot_attention, "--artifacts", folder)
    return folder


@pytest.fixture
def artifacts(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def losses(history):
    history = json.loads(history)
    return history["train_loss"], history["val_loss"], history["best_epoch"]


def test_killed_at_any_moment(artifacts, tmp_path, monkeypatch):
    old = contents(artifacts)
    assert set(old) == RUN_FILES | {"metrics.json", "attention.png"}
    train_tiny(monkeypatch, tmp_path / "new", "training.seed=1")
    new = contents(tmp_path / "new")
    last_event = 29
    command = [sys.executable, "-c", KILLER, artifacts, str(last_event), *settings("training.seed=1")]
    subprocess.run(command, cwd=PROJECT_DIR, check=True)
    complete = []
    for event in range(1, last_event + 1):
        folder = tmp_path / f"run-{event}"
        for name, content in contents(folder).items():
            if name == "history.json":  # it holds seconds, which differ
                assert losses(content) in (losses(old[name]), losses(new[name]))
            else:
                assert content in (old[name], new.get(name))
        load_checkpoint(folder / "model.pt")
        now = contents(folder)
        complete.append(now["model.pt"] == new["model.pt"])
        if complete[-1]:
            assert set(now) == RUN_FILES and losses(now["history.json"]) == losses(new["history.json"])
        else:
            assert now == old
    # Once it counts, the new run counts for good; the last events are those of the moving.
    assert complete == sorted(complete) and 0 < sum(complete) < last_event
    assert {path.name for path in folder.iterdir()} == RUN_FILES


@pytest.mark.parametrize("moment", range(1, 7))
def test_two_writers_at_once_leave_the_files_of_one(tmp_path, monkeypatch, moment):
    """The second writer writes all its files while the first is about to do its nth step."""
    mine, yours = ({name: owner for name in ("a", "b", "c")} for owner in (b"mine", b"yours"))
    (tmp_path / "old").write_text("to be removed")
    steps = 0

    def interrupted(function):
        def step(*args):
            nonlocal steps
            steps += 1
            if steps == moment:
                write_files(tmp_path, yours, replaces=["old", "a"])
            return function(*args)

        return step

    for name in ("rename", "replace", "rmdir"):
        monkeypatch.setattr(os, name, interrupted(getattr(os, name)))
    write_files(tmp_path, mine, replaces=["old", "a"])
    assert steps >= moment
    assert contents(tmp_path) in (mine, yours)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_a_killed_writer_made_ready_is_moved_before_the_next(tmp_path, monkeypatch):
    rename = os.rename

    def rename_at_last(source, target):
        monkeypatch.setattr(os, "rename", rename)
        target.mkdir()
        (target / "a").write_bytes(b"theirs")
        (target / "b").write_bytes(b"theirs")
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_at_last)
    write_files(tmp_path, {"a": b"mine"})
    assert contents(tmp_path) == {"a": b"mine", "b": b"theirs"}


def test_a_renaming_that_fails_changes_nothing(artifacts, monkeypatch, capsys):
    def refuse(*args):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    old = contents(artifacts)
    monkeypatch.setattr(os, "rename", refuse)
    code, _, error = run_to_the_end(capsys, train_tiny, monkeypatch, artifacts)
    assert code == 2 and "Permission denied" in error
    assert contents(artifacts) == old


def press_ctrl_c(*args):
    signal.raise_signal(signal.SIGINT)


def run_to_the_end(capsys, function, *arguments):
    """What a shell sees: exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as stop:
        run_script(lambda: function(*arguments))
    return stop.value.code, *capsys.readouterr()


def test_ctrl_c_before_the_first_epoch_is_done_changes_nothing(artifacts, monkeypatch, capsys):
    old = contents(artifacts)
    monkeypatch.setattr(train.Trainer, "_train_epoch", press_ctrl_c)
    code, out, _ = run_to_the_end(capsys, train_tiny, monkeypatch, artifacts)
    assert code == 130 and "interrupted" in out and "nothing is written" in out
    assert contents(artifacts) == old
    assert run_to_the_end(capsys, train_tiny, monkeypatch, artifacts.parent / "none")[0] == 130
    assert not (artifacts.parent / "none").exists()


def test_ctrl_c_later_keeps_the_best_model_so_far(artifacts, monkeypatch, capsys):
    monkeypatch.setattr(train, "print_epoch", press_ctrl_c)
    code, out, _ = run_to_the_end(capsys, train_tiny, monkeypatch, artifacts, "training.seed=1")
    assert code == 130 and "interrupted" in out and "epoch 1 are kept" in out
    assert set(contents(artifacts)) == RUN_FILES
    assert json.loads((artifacts / "history.json").read_text())["ended"] == "interrupted"
    assert run(monkeypatch, evaluate, "--artifacts", artifacts) is None
    assert run(monkeypatch, plot_attention, "--artifacts", artifacts) is None


@pytest.mark.parametrize("script", [evaluate, plot_attention])
def test_ctrl_c_of_the_other_scripts(artifacts, monkeypatch, capsys, script):
    old = contents(artifacts)
    monkeypatch.setattr(script, "make_splits", press_ctrl_c)
    code, _, error = run_to_the_end(capsys, run, monkeypatch, script, "--artifacts", artifacts)
    assert code == 130 and error == "\ninterrupted\n"
    assert contents(artifacts) == old


def test_a_diverged_training_keeps_the_best_model_so_far(artifacts, monkeypatch, capsys):
    old = contents(artifacts)
    code, _, error = run_to_the_end(
        capsys, train_tiny, monkeypatch, artifacts, "training.learning_rate=1e6"
    )
    assert code == 2 and "epoch 1" in error and "1000000.0; nothing is written" in error
    assert contents(artifacts) == old

    train_losses = iter([0.5, float("nan")])
    monkeypatch.setattr(train.Trainer, "_train_epoch", lambda *args: next(train_losses))
    code, _, error = run_to_the_end(capsys, train_tiny, monkeypatch, artifacts)
    assert code == 2 and error.startswith("error: ") and error.count("\n") == 1
    assert "NaN" in error and "in epoch 2" in error and "epoch 1 are kept" in error
    assert set(contents(artifacts)) == RUN_FILES
    load_checkpoint(artifacts / "model.pt")


@pytest.mark.parametrize("script", [train, evaluate, plot_attention])
def test_a_full_disk_changes_nothing(artifacts, monkeypatch, capsys, script):
    old = contents(artifacts)
    write_bytes = Path.write_bytes

    def write_some(path, content):
        write_bytes(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", write_some)
    call = (
        (train_tiny, monkeypatch, artifacts)
        if script == train
        else (run, monkeypatch, script, "--artifacts", artifacts)
    )
    code, _, error = run_to_the_end(capsys, *call)
    assert code == 2 and error.startswith("error: ") and error.count("\n") == 1
    assert os.strerror(errno.ENOSPC) in error
    assert contents(artifacts) == old
    assert set(old) == {path.name for path in artifacts.iterdir()}  # and nothing hidden is left


def test_a_reader_that_leaves_is_no_error(artifacts, monkeypatch, capsys):
    (artifacts / "metrics.json").unlink()
    reader, writer = os.pipe()
    os.close(reader)
    stdout = open(writer, "w")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        with pytest.raises(SystemExit) as stop:
            run_script(lambda: run(patch, evaluate, "--artifacts", artifacts))
        assert stop.value.code == 141 and sys.stdout is None
    with pytest.raises(BrokenPipeError):
        stdout.close()
    assert capsys.readouterr().err == ""
    assert json.loads((artifacts / "metrics.json").read_text())["accuracy"] >= 0


def test_a_closed_stdout_is_no_error(artifacts, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        with pytest.raises(SystemExit) as stop:
            run_script(lambda: run(patch, evaluate, "--artifacts", artifacts))
    assert not stop.value.code and capsys.readouterr().err == ""


def test_letters_that_the_terminal_lacks_are_no_error(monkeypatch):
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii"))
    with pytest.raises(SystemExit) as stop:
        run_script(lambda: print("données"))
    assert not stop.value.code and output.getvalue() == b"donn\\xe9es\n"

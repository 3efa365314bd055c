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
from helpers import run, tiny_options, train_tiny

import data_utils
import evaluate
import plot_attention
import train
from constants import PROJECT_DIR
from data_utils import UserError, run_script, write_files
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
    last_event = 45  # there are fewer, see below
    command = [
        sys.executable,
        "-c",
        KILLER,
        artifacts,
        str(last_event),
        *tiny_options("training.seed=1"),
    ]
    subprocess.run(command, cwd=PROJECT_DIR, check=True)
    to_its_end = tmp_path / f"run-{last_event}"
    assert {path.name for path in to_its_end.iterdir()} == RUN_FILES
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
    # Once it counts, the new run counts for good.
    assert complete == sorted(complete) and 0 < sum(complete) < last_event


WRITER = """
import sys
from pathlib import Path
from data_utils import write_files
folder, owner, *names = sys.argv[1:]
for number in range(200):
    write_files(Path(folder), dict.fromkeys(names, f"{owner} {number}".encode()), replaces="abcd")
"""


def test_writers_at_once_leave_the_files_of_one(tmp_path):
    sets = {"first": "abc", "second": "cd", "third": "d"}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, *[owner, *names]], cwd=PROJECT_DIR)
        for owner, names in sets.items()
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    owner = next(iter(contents(tmp_path).values())).decode()
    assert contents(tmp_path) == dict.fromkeys(sets[owner.split()[0]], owner.encode())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_killed_writers_left_is_put_in_order_first(tmp_path):
    for name, content in (".ready/a", b"ready"), (".ready/b", b"ready"), (".writing/c", b"half"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / ".ready" / "old").touch()
    (tmp_path / "old").write_bytes(b"old")
    write_files(tmp_path, {"a": b"new"})
    assert contents(tmp_path) == {"a": b"new", "b": b"ready"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_where_there_are_no_locks_files_are_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(data_utils, "fcntl", None)
    write_files(tmp_path / "new", {"a": b"1"})
    assert contents(tmp_path / "new") == {"a": b"1"}


@pytest.mark.parametrize("script", [evaluate, plot_attention])
def test_nothing_is_said_of_a_run_that_was_replaced_meanwhile(artifacts, monkeypatch, capsys, script):
    make_splits = script.make_splits

    def train_another(data_config):
        train_tiny(monkeypatch, artifacts, "training.seed=1")
        return make_splits(data_config)

    monkeypatch.setattr(script, "make_splits", train_another)
    code, _, error = run_to_the_end(capsys, run, monkeypatch, script, "--artifacts", artifacts)
    assert code == 2 and "model.pt was replaced meanwhile" in error
    assert set(contents(artifacts)) == RUN_FILES


def test_a_renaming_that_fails_changes_nothing(artifacts, monkeypatch, capsys):
    def refuse(*args):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    old = contents(artifacts)
    monkeypatch.setattr(os, "rename", refuse)
    code, _, error = run_to_the_end(capsys, train_tiny, monkeypatch, artifacts)
    assert code == 2 and "Permission denied" in error
    assert contents(artifacts) == old


def press_ctrl_c(*args, **figures):
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


def test_ctrl_c_while_the_run_is_saved_comes_too_late(artifacts, monkeypatch, capsys):
    draw = train.plot_history
    monkeypatch.setattr(train, "plot_history", lambda history: press_ctrl_c() or draw(history))
    code, out, _ = run_to_the_end(capsys, train_tiny, monkeypatch, artifacts, "training.seed=1")
    assert code == 0 and "holds a run, which this one will replace" in out and "done" in out
    assert set(contents(artifacts)) == RUN_FILES
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


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
    assert code == 2 and "epoch 1" in error and "now 1000000.0; nothing is written" in error
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
    assert "cannot write" in error and os.strerror(errno.ENOSPC) in error
    assert contents(artifacts) == old
    assert set(old) == {path.name for path in artifacts.iterdir()}  # and nothing hidden is left


def test_a_reader_that_leaves_is_no_error(artifacts, monkeypatch, capsys):
    (artifacts / "metrics.json").unlink()
    reader, writer = os.pipe()
    os.close(reader)
    stdout = open(writer, "w", buffering=1)
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


@pytest.mark.parametrize(
    "error, message",
    [
        (MemoryError(), "MemoryError"),
        (OSError(errno.EIO, "broken"), "[Errno 5] broken"),
        (UserError("two\nlines"), "two lines"),
    ],
)
def test_what_a_user_can_mend_is_one_line(capsys, error, message):
    def fail():
        raise error

    assert run_to_the_end(capsys, fail) == (2, "", f"error: {message}\n")


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ValueError, match="not enough values to unpack"):
        run_script(lambda: next(a + b for a, b in [(1,)]))

"""What both pages tell the reader to run, as it stands: python -m pytest tests/readme_blocks.py"""

import ast
import importlib
import re
import shlex
import sys

import pytest

import evaluate
from constants import PROJECT_DIR


@pytest.fixture
def metrics(monkeypatch):
    """What `evaluate` measures, in order."""
    measured, measure = [], evaluate.evaluate
    monkeypatch.setattr(evaluate, "evaluate", lambda *a: measured.append(measure(*a)) or measured[-1])
    return measured


def run_blocks(page):
    text, namespace = (PROJECT_DIR / page).read_text("utf-8"), {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(block, namespace)  # noqa: S102


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(PROJECT_DIR / "configs")
    return tmp_path


def test_tutorial(folder, metrics):
    run_blocks("README.md")
    shortcut, bump = metrics
    assert shortcut["accuracy"] > 0.99 and shortcut["attention"]["mass"] < 0.6
    fall = shortcut["exchange"]["anomalous"]
    assert fall["attended"] > 2 * fall["random"]
    assert bump["accuracy"] > 0.93 and bump["attention"]["mass"] > 0.9
    fall = bump["exchange"]["spell"]
    assert fall["attended"] > 2 * fall["random"]
    assert (folder / "mine" / "bump.png").is_file() and (folder / "mine" / "model.pt").is_file()


def test_section_8_and_its_exercises(metrics, monkeypatch):
    text = (PROJECT_DIR / "README.md").read_text("utf-8")
    section = text[text.index("\n## 8. ") : text.index("\n## 9. ")]
    commands = [("train", ""), *re.findall(r"python (\w+)\.py([^`\n]*)", section)]
    for name, options in (*commands, ("evaluate", "--artifacts artifacts/ex2")):
        monkeypatch.setattr(sys, "argv", [name, *shlex.split(options)])
        importlib.import_module(name).main()
    noisy, unseen_noise, without, short, trained_on_short = metrics
    assert noisy["accuracy"] > 0.99 > unseen_noise["accuracy"] > 0.9
    (_, false_alarms), (missed, _) = unseen_noise["confusion_matrix"]
    assert false_alarms > 5 * missed
    assert without["attention"] == pytest.approx(
        {"mass": 0.275, "pointing": 0.275, "auc": 0.5}, abs=5e-4
    )
    assert all(row["attended"] == row["random"] for row in without["exchange"].values())
    (_, false_alarms), (missed, found) = short["confusion_matrix"]
    assert false_alarms == 0 and missed > found / 3
    assert 0.85 < trained_on_short["classes"]["anomalous"]["recall"] < 0.97


def test_second_page(metrics, capsys):
    run_blocks("own_data/README.md")
    classes, channels, flat = metrics
    assert classes["accuracy"] > 0.95 and classes["attention"]["mass"] > 0.7
    assert channels["accuracy"] > 0.9 and channels["attention"]["mass"] > 0.8
    assert flat["accuracy"] > 0.99 and flat["attention"]["mass"] > 0.95
    ((start, stop, _),) = ast.literal_eval(capsys.readouterr().out.splitlines()[-1])
    assert abs(start - 19_860) <= 20 and stop == 20_000

"""The Python blocks of both pages run as they stand, at full size: python -m pytest tests/readme_blocks.py"""

import ast
import re

import pytest

import evaluate
from constants import PROJECT_DIR


def run_blocks(page, monkeypatch):
    """Run the blocks of a page one after the other. Returns what `evaluate` measured, in order."""
    metrics, measure = [], evaluate.evaluate
    monkeypatch.setattr(evaluate, "evaluate", lambda *a: metrics.append(measure(*a)) or metrics[-1])
    text, namespace = (PROJECT_DIR / page).read_text("utf-8"), {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(block, namespace)  # noqa: S102
    return metrics


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(PROJECT_DIR / "configs")
    return tmp_path


def test_tutorial(folder, monkeypatch):
    shortcut, bump = run_blocks("README.md", monkeypatch)
    assert shortcut["accuracy"] > 0.99 and shortcut["attention"]["mass"] < 0.6
    fall = shortcut["exchange"]["anomalous"]
    assert fall["attended"] > 2 * fall["random"]
    assert bump["accuracy"] > 0.93 and bump["attention"]["mass"] > 0.9
    fall = bump["exchange"]["spell"]
    assert fall["attended"] > 2 * fall["random"]
    assert (folder / "mine" / "bump.png").is_file() and (folder / "mine" / "model.pt").is_file()


def test_second_page(monkeypatch, capsys):
    classes, channels, flat = run_blocks("own_data/README.md", monkeypatch)
    assert classes["accuracy"] > 0.95 and classes["attention"]["mass"] > 0.7
    assert channels["accuracy"] > 0.9 and channels["attention"]["mass"] > 0.8
    assert flat["accuracy"] > 0.99 and flat["attention"]["mass"] > 0.95
    ((start, stop, _),) = ast.literal_eval(capsys.readouterr().out.splitlines()[-1])
    assert abs(start - 19_860) <= 20 and stop == 20_000

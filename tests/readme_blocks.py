"""The README's Python blocks run as they stand, at full size: python -m pytest tests/readme_blocks.py"""

import ast
import re
import shutil

import evaluate
from constants import PROJECT_DIR

BLOCKS = re.findall(
    r"```python\n(.*?)```", (PROJECT_DIR / "README.md").read_text("utf-8"), flags=re.DOTALL
)


def test_python_blocks_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROJECT_DIR / "configs", "configs")
    namespace, metrics = {}, []
    measure = evaluate.evaluate
    monkeypatch.setattr(evaluate, "evaluate", lambda *a: metrics.append(measure(*a)) or metrics[-1])
    for block in BLOCKS:
        assert block.count("\n") <= 15
        exec(block, namespace)  # noqa: S102
    assert (tmp_path / "mine" / "bump.png").is_file()
    # What the text says of these blocks, in their order.
    fooled, bump, classes, channels, flat = metrics
    assert fooled["accuracy"] > 0.99 and fooled["attention"]["mass"] < 0.6
    assert bump["accuracy"] > 0.95 and bump["attention"]["mass"] > 0.9
    assert classes["accuracy"] > 0.96 and min(classes["recall"]) > 0.9
    assert channels["accuracy"] > 0.95 and channels["attention"]["mass"] > 0.85
    assert flat["accuracy"] > 0.99 and flat["attention"]["mass"] > 0.97
    ((start, stop, _),) = ast.literal_eval(capsys.readouterr().out.splitlines()[-1])
    assert abs(start - 19_860) <= 20 and stop == 20_000

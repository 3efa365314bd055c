"""The README's Python blocks run as they stand; what the READMEs link to and call is there."""

import ast
import importlib.util
import re
import shutil

import pytest

import evaluate
from constants import PROJECT_DIR
from data_utils import load_config, override_config

READMES = {
    name: (PROJECT_DIR / name).read_text("utf-8") for name in ("README.md", "experiments/README.md")
}
BLOCKS = re.findall(r"```python\n(.*?)```", READMES["README.md"], flags=re.DOTALL)


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


def anchors(text):
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", READMES)
def test_links_and_pictures_are_there(name):
    targets = re.findall(r"\]\(([^)]+)\)", READMES[name])
    assert len(targets) > 2
    for target in targets:
        if "://" not in target:
            path, _, anchor = target.partition("#")
            linked = (PROJECT_DIR / name).parent / path if path else PROJECT_DIR / name
            assert linked.is_file(), target
            assert not anchor or anchor in anchors(linked.read_text("utf-8")), target


def test_commands_and_settings_are_there():
    text = "\n".join(READMES.values())
    for name in re.findall(r"python -m (experiments\.\w+)", text):
        assert importlib.util.find_spec(name), name
    for name in re.findall(r"python (\w+\.py)", text):
        assert (PROJECT_DIR / name).is_file(), name
    overrides = re.findall(r"--set \"?([a-z_.]+=(?:\[[^\]]*\]|[\w.]+))", text)
    assert len(overrides) > 5
    for override in overrides:
        override_config(load_config(), [override])

"""The README's Python blocks run as they stand; what it links to and calls is there."""

import importlib.util
import re

import pytest

from constants import PROJECT_DIR
from data_utils import load_config, override_config
from model import AttentionClassifier, save_checkpoint

README = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_python_blocks_run_as_they_stand(tmp_path, monkeypatch, capsys, block):
    config = load_config()
    (tmp_path / "artifacts").mkdir()
    save_checkpoint(tmp_path / "artifacts" / "model.pt", AttentionClassifier(**config["model"]), config)
    monkeypatch.chdir(tmp_path)
    assert block.count("\n") <= 15
    exec(block, {})  # noqa: S102
    assert capsys.readouterr().out


def test_links_and_pictures_are_there():
    targets = re.findall(r"\]\(([^)]+)\)", README)
    headings = re.findall(r"^#+ (.*)$", README, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert len(targets) > 10
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert (PROJECT_DIR / target).is_file(), target


def test_commands_and_settings_are_there():
    for name in re.findall(r"python -m (experiments\.\w+)", README):
        assert importlib.util.find_spec(name), name
    for name in re.findall(r"python (\w+\.py)", README):
        assert (PROJECT_DIR / name).is_file(), name
    overrides = re.findall(r"--set \"?([a-z_.]+=(?:\[[^\]]*\]|[\w.]+))", README)
    assert len(overrides) > 5
    for override in overrides:
        override_config(load_config(), [override])

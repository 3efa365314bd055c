"""The README's Python blocks run as they stand; what the READMEs link to and call is there."""

import importlib.util
import re

import pytest

import plot_attention
from constants import PROJECT_DIR
from data_utils import load_config, override_config

READMES = {
    name: (PROJECT_DIR / name).read_text("utf-8") for name in ("README.md", "experiments/README.md")
}
BLOCKS = re.findall(r"```python\n(.*?)```", READMES["README.md"], flags=re.DOTALL)


def test_python_blocks_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in BLOCKS:
        assert block.count("\n") <= 15
        exec(block, namespace)  # noqa: S102
    assert len(capsys.readouterr().out.splitlines()) == 7
    # What the text says of these series: always right, and the attention on the bump.
    assert namespace["metrics"]["accuracy"] > 0.95 and namespace["metrics"]["attention"]["mass"] > 0.8
    argv = ["plot_attention.py", "--artifacts", "mine", "--series", "mine.csv"]
    monkeypatch.setattr("sys.argv", argv)
    plot_attention.main()
    assert (tmp_path / "mine" / "attention.png").is_file()


def anchors(text):
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", READMES)
def test_links_and_pictures_are_there(name):
    targets = re.findall(r"\]\(([^)]+)\)", READMES[name])
    assert len(targets) > 3
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

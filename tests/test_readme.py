"""What the READMEs link to, call and quote is there. Their Python blocks are run by readme_blocks.py."""

import importlib.util
import re

import pytest

from constants import PROJECT_DIR
from data_utils import load_config

PAGES = ("README.md", "experiments/README.md", "own_data/README.md", ".github/CONTRIBUTING.md")
READMES = {name: (PROJECT_DIR / name).read_text("utf-8") for name in PAGES}


def anchors(text):
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", READMES)
def test_links_and_pictures_are_there(name):
    for target in re.findall(r"\]\(([^)]+)\)", READMES[name]):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            linked = (PROJECT_DIR / name).parent / path if path else PROJECT_DIR / name
            assert linked.is_file(), target
            assert not anchor or anchor in anchors(linked.read_text("utf-8")), target


def test_every_picture_is_used():
    text = "\n".join(READMES.values())
    assert all(picture.name in text for picture in (PROJECT_DIR / "images").iterdir())


def test_commands_and_settings_are_there():
    text = "\n".join(READMES.values())
    for name in re.findall(r"python -m (experiments\.[a-z]\w*)", text):
        assert importlib.util.find_spec(name), name
    for name in re.findall(r"python (\w+\.py)", text):
        assert (PROJECT_DIR / name).is_file(), name
    overrides = re.findall(r"--set \"?([a-z_.]+=(?:\[[^\]]*\]|[\w.]+))", text)
    assert len(overrides) > 5
    for override in overrides:
        load_config(overrides=[override])

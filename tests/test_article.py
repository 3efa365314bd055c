"""The measurements of the article's network, on cases that are worked out by hand."""

import numpy as np
import pytest
import torch
from helpers import run

from constants import CLASSES
from data_utils import UserError, load_config
from experiments import article, common
from model import AttentionClassifier


@pytest.fixture
def network():
    torch.manual_seed(0)
    return AttentionClassifier(CLASSES, (500, 1), **load_config(article.ARTICLE)["model"])


@pytest.fixture
def published(tmp_path, network):
    """A file of the network's parameters as the article names them, with the bias that we leave out."""
    theirs = {"pool.hidden": "attention.0", "pool.query": "attention.2", "classifier": "classifier.0"}
    parameters = {"attention.2.bias": torch.ones(1)}
    for name, value in network.named_parameters():
        part, _, kind = name.rpartition(".")
        parameters[f"{theirs.get(part, part)}.{kind}"] = value.detach()
    torch.save(parameters, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


def test_published_parameters_make_the_same_network(published, network):
    series = np.sin(np.linspace(0, 6, 500))
    for mine, theirs in zip(network.predict(series), article.load_published(published).predict(series)):
        np.testing.assert_array_equal(mine, theirs)


def test_other_files_are_refused(tmp_path, published):
    parameters = torch.load(published)
    torch.save(parameters | {"attention.0.bias": torch.ones(3)}, published)  # of another size
    for path in (published, tmp_path / "none.pth"):
        with pytest.raises(UserError, match=f"{path.name} is missing, or does not hold the article's"):
            article.load_published(path)


def test_published_results_have_a_file_of_their_own(tmp_path, monkeypatch, published):
    monkeypatch.setattr(common, "PROJECT_DIR", tmp_path)
    run(monkeypatch, article, "--parameters", published, "--quick", "--jobs", 1)
    assert not (tmp_path / "experiments").exists()
    ones = {name: 1 for name, *_ in article.ROWS.values()}
    monkeypatch.setattr(common, "measure", lambda args, function, rows: {row: [ones] for row in rows})
    run(monkeypatch, article, "--parameters", published)
    run(monkeypatch, article)
    results = {path.stem: path.read_text() for path in (tmp_path / "experiments/results").iterdir()}
    assert "| measured | the published parameters | our default |" in results["article_published"]
    assert "| measured | the article's settings |" in results["article"] and len(results) == 2


def test_the_mask_is_moved_to_where_the_attention_lies():
    flat_mask, attention = np.zeros((2, 300), dtype=bool), np.zeros((2, 300))
    flat_mask[0, 100:150], flat_mask[1, 280:] = True, True
    attention[0, [130, 179]] = 0.5  # only moved by 179 - 149 it holds both
    attention[1, 12] = 1  # it cannot hold this one, unless it came in again at the start
    assert article.best_shift(attention, flat_mask) == (0.5, 30)


def test_the_attention_at_the_start_of_a_segment_and_behind_it():
    flat_mask, attention = np.zeros((2, 300), dtype=bool), np.full((2, 300), 1 / 300)
    flat_mask[0, 100:160] = flat_mask[1, 201:250] = True  # behind the second, there are too few steps
    assert article.start_and_behind(attention, flat_mask) == pytest.approx((40 / 300, 80 / 300))
    for step, expected in {139: (1, 0), 140: (0, 0), 160: (0, 1), 239: (0, 1), 240: (0, 0)}.items():
        attention[0] = np.eye(300)[step]
        assert article.start_and_behind(attention, flat_mask) == expected


def test_steps_near_peaks_and_troughs():
    near = article.near_extrema(np.sin(np.linspace(0, 2 * np.pi, 401))[None])  # at the steps 100 and 300
    np.testing.assert_array_equal(np.flatnonzero(near), [*range(90, 111), *range(290, 311)])
    assert article.share(np.eye(401)[[140]], near, -40) == article.share(np.eye(401)[[90]], near) == 1
    assert article.share(np.eye(401)[[5]], near, -40) == 0  # moved out, it does not come in again

import re

import numpy as np
import pytest
import torch
from helpers import QUARTERS

from data import SineWaveTorchDataset, check_series, make_splits, split_series
from data_utils import UserError, load_config

LABELS = np.arange(40) % 2


def test_the_gate_takes_numbers_in_any_container():
    numbers = np.arange(12).reshape(2, 6)
    masked, tensor = np.ma.masked_equal(numbers, 99), torch.from_numpy(numbers).float()
    for given in (numbers, numbers.tolist(), np.asfortranarray(numbers, "f4"), masked, tensor):
        series = check_series(given)
        assert type(series) is np.ndarray and series.dtype == np.float64
        np.testing.assert_array_equal(series, numbers[:, :, None])
    np.testing.assert_array_equal(check_series(numbers[0]), numbers[:1, :, None])
    values, label = SineWaveTorchDataset([[1e8, 1e8 + 0.5]], [1])[0]  # single precision would round it
    assert values.tolist() == [[1e8], [1e8 + 0.5]] and (label, label.dtype) == (1, torch.int64)


@pytest.mark.parametrize(
    "series, said",
    [
        ([["a", "b"]], "must be an array of numbers.* from dtype\\('<U1'\\)"),
        ([[1, None]], "must be an array of numbers; from pandas, pass .* dtype\\('O'\\)"),
        ([[1, 2], [3]], "must be an array of numbers"),
        (torch.ones(2, 3, requires_grad=True), "must be an array of numbers.*detach"),
        (np.ones((2, 3, 1, 1)), r"\(N, T, C\), \(N, T\) or \(T,\), got \(2, 3, 1, 1\)"),
        ([[1, 2, 3], [1, 2, np.nan]], "series 1 holds NaN.* at step 2: fill it"),
        ([[1, 2, 3], [1e150, 2, 3]], "series 1 holds .*beyond 1e150 at step 0"),
        (np.ma.masked_equal([[1, 2, 3], [4, 5, 6]], 5), "series 1 holds .*masked value.* at step 1"),
    ],
)
def test_the_gate_names_what_is_wrong(series, said):
    with pytest.raises(UserError, match=said):
        check_series(series)


def numbered(count, steps=5):
    """Series that hold their own row; `rows_of` finds it again."""
    return np.arange(count)[:, None] * np.ones(steps)


def rows_of(splits):
    return [split.series[:, 0, 0].astype(int) for split in splits[:3]]


def test_generated_splits_have_their_sizes_and_the_same_share_of_each_class():
    overrides = ["data.dataset_size=1000", "data.normal_ratio=0.7"]
    splits = make_splits(load_config(overrides=overrides)["data"])
    counts = [np.bincount(split.labels).tolist() for split in splits[:3]]
    assert counts == [[490, 210], [70, 30], [140, 60]]
    assert len(np.unique(np.concatenate([split.series for split in splits[:3]]), axis=0)) == 1000
    for split in splits[:3]:
        np.testing.assert_array_equal(split.flat_mask.any(axis=1), split.labels)


@pytest.mark.parametrize("names", [["run", "nan", "rest"], [b"b", b"a"], [False, True], [1, -1]])
def test_labels_of_any_kind(names):
    labels = [names[row % len(names)] for row in range(60)]
    splits = split_series(numbered(60), labels, None, QUARTERS)
    assert splits.classes == tuple(sorted(names))
    assert {type(name) for name in splits.classes} == {type(names[0])}  # plain Python
    assert sorted(np.concatenate(rows_of(splits))) == list(range(60))
    for split, rows in zip(splits, rows_of(splits)):
        assert split.labels.dtype == np.int64
        assert [splits.classes[label] for label in split.labels] == [labels[row] for row in rows]


def test_labels_and_groups_that_are_missing_or_tell_nothing_are_refused():
    of_two = (["a", None], ["a", np.nan], [0.0, np.nan], [None, 1], [0, "1"], ["the", "the"])
    masked, days = np.ma.masked_equal(np.arange(40), 7), np.arange(40).astype("M8[D]")
    for wrong in (*(20 * pair for pair in of_two), masked, days, LABELS[1:], LABELS[:, None], 5):
        for labels, groups in ((wrong, None), (LABELS, wrong)):
            with pytest.raises(UserError, match=r"40 series need 40 labels \(or groups\): numbers or"):
                split_series(numbered(40), labels, None, QUARTERS, groups)


@pytest.mark.parametrize("persons, ill, most", [(24, 12, 30), (10, 5, 30), (20, 4, 30), (6, 3, 8)])
def test_groups_are_drawn_whole_and_at_random(persons, ill, most):
    """Persons have one label each, and 8 series, or 5 to 30."""
    held = np.random.default_rng(0).integers(min(8, 35 - most), most, size=persons, endpoint=True)
    groups, tested = np.arange(persons).repeat(held), np.zeros((40, persons), dtype=bool)
    labels, names = np.where(groups < ill, "ill", "well"), [f"person {group}" for group in groups]
    for seed in range(40):
        config = QUARTERS | {"seed": seed}
        rows = rows_of(split_series(numbered(len(groups)), labels, None, config, names))
        parts = [np.unique(groups[part]) for part in rows]
        assert sum(map(len, rows)) == len(groups) and sum(map(len, parts)) == persons
        assert all(len(np.unique(labels[part])) == 2 for part in rows)
        sizes, wanted = np.array([len(part) for part in rows]), np.array([0.5, 0.25, 0.25]) * len(groups)
        assert np.all(abs(sizes - wanted) <= np.maximum(wanted / 2, most))  # or one person more or less
        tested[seed, parts[2]] = True
    assert len(np.unique(tested, axis=0)) >= 5
    # The ill person with the most series is tested about as often as the others.
    assert tested[:, held[:ill].argmax()].mean() <= 1.5 * tested.mean()
    # Who is tested most often, by chance alone: in 40 draws, up to twice as often as the average.
    assert 0 < tested.mean(axis=0).min() and tested.mean(axis=0).max() <= 2 * tested.mean()


def test_what_cannot_be_split_says_so():
    one_has_a_class = np.where(LABELS, 0, np.arange(40))
    for labels, groups in ((LABELS, LABELS), (LABELS, one_has_a_class), (np.arange(40) < 2, None)):
        with pytest.raises(UserError, match="40 series cannot be split: .*; change data.val_fraction"):
            split_series(numbered(40), labels, None, QUARTERS, groups)
    overrides = ["data.dataset_size=40", "data.normal_ratio=0.99"]  # 39.6 of 40 are normal
    with pytest.raises(UserError, match="40 series cannot be split: each split needs a series of each"):
        make_splits(load_config(overrides=overrides)["data"])


def test_copies_in_two_splits_are_named_by_their_rows_unless_they_are_one_group():
    kinds = np.arange(120) % 12
    series = np.random.default_rng(0).normal(size=(12, 20))[kinds]
    with pytest.raises(UserError, match=r"series \d+ and \d+ are equal, .* in groups") as error:
        split_series(series, kinds % 2, None, QUARTERS)
    one, other = map(int, re.findall(r"\d+", str(error.value)))
    assert one != other and kinds[one] == kinds[other]
    splits = split_series(series, kinds % 2, None, QUARTERS, groups=kinds)
    assert sum(len(np.unique(split.series, axis=0)) for split in splits[:3]) == 12


def test_a_flat_mask_goes_with_its_series_and_must_fit():
    mask = numbered(40) * 3 + np.arange(5) > 60
    for given in (mask, mask.astype(int), mask.tolist()):
        splits = split_series(numbered(40), LABELS, given, QUARTERS)
        for split, rows in zip(splits, rows_of(splits)):
            assert split.flat_mask.dtype == bool
            np.testing.assert_array_equal(split.flat_mask, mask[rows])
    for wrong in (mask[1:], mask[:, 1:], 2 * mask, mask[0]):
        with pytest.raises(UserError, match=r"flat_mask must be bool of the .*, here \(40, 5\)"):
            split_series(numbered(40), LABELS, wrong, QUARTERS)


def test_the_counts_and_the_values_far_outside_are_printed(capsys):
    series = np.random.default_rng(0).normal(20, 5, size=(60, 50, 2)) * [100, 1]
    split_series(series, np.arange(60) % 3, None, QUARTERS)
    out = capsys.readouterr().out
    assert "val: 5 0, 5 1, 5 2; fewer than ten: what they show is luck\n" in out and "outside" not in out
    series[7, 31, 1] = series[9, 0, 1] = -999  # not far outside the other channel
    split_series(series, np.arange(60) < 30, None, QUARTERS | {"test_fraction": 0.5})
    out = capsys.readouterr().out
    assert out.startswith("2 values stand far outside: series 7 holds -999 at step 31.")
    assert "test: 15 False, 15 True\n" in out

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from helpers import make_model
from scipy.special import expit
from torch import nn

import constants
from data import SineWaveTorchDataset, make_splits
from data_utils import UserError, load_config
from evaluate import exchange
from model import AttentionClassifier, Trainer, load_checkpoint, save_checkpoint
from train import train

TRAINING = {"batch_size": 8, "max_epochs": 3, "patience": 3, "learning_rate": 1e-3, "seed": 0}


@pytest.fixture(scope="module")
def waves():
    return make_splits(load_config(overrides=["data.dataset_size=100"])["data"]).train.series


def lstm_by_hand(tokens, w_ih, w_hh, b_ih, b_hh):
    """One direction over tokens (N, F), gate by gate."""
    size = w_hh.shape[1]
    hidden, cell, states = np.zeros(size), np.zeros(size), []
    for token in tokens:
        gates = w_ih @ token + b_ih + w_hh @ hidden + b_hh
        i, f, g, o = (gates[k * size : (k + 1) * size] for k in range(4))
        cell = expit(f) * cell + expit(i) * np.tanh(g)
        hidden = expit(o) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


def tokens_by_hand(series, length, c, mean, deviation):
    """One channel (T,): values of a patch beside the changes over 1.5 patches around each step."""
    z, lag = (series - mean) / deviation, int(np.ceil(1.5 * length))
    change = []
    for step in range(len(z)):
        first = min(max(step - lag // 2, 0), len(z) - 1 - lag)
        change.append(np.arcsinh((z[first + lag] - z[first]) / c))
    return np.column_stack([z, change]).reshape(len(z) // length, length, 2)


@pytest.mark.parametrize("attention", [True, False])
def test_forward_equals_the_same_steps_by_hand(attention):
    sizes = {"patch_length": 3, "hidden_size": 2, "attention_size": 3, "smallest_change": 0.3}
    model = make_model((12, 1), "abc", **sizes, attention=attention)
    series = np.array([0.0, 1, 3, 2, 2, 2, 5, 4, 1, -1, 0, 2])
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    tokens = tokens_by_hand(series, 3, 0.3, series.mean(), series.std(ddof=1)).reshape(4, 6)

    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    forward = lstm_by_hand(tokens, *(w[f"lstm.{name}"] for name in names))
    backward = lstm_by_hand(tokens[::-1], *(w[f"lstm.{name}_reverse"] for name in names))[::-1]
    states, scores = np.hstack([forward, backward]), np.zeros(4)
    if attention:
        hidden = np.tanh(states @ w["pool.hidden.weight"].T + w["pool.hidden.bias"])
        scores = hidden @ w["pool.query.weight"][0]
    weights = np.exp(scores) / np.exp(scores).sum()
    # The logit of the first class is 0.
    logits = [0, *(w["classifier.weight"] @ (weights @ states) + w["classifier.bias"])]

    results, shared = model(torch.tensor(series)[None, :, None])
    np.testing.assert_allclose(results[0].detach(), logits, atol=1e-5)
    np.testing.assert_allclose(shared[0].detach(), np.repeat(weights / 3, 3), atol=1e-6)
    probability, _ = model.predict(series)
    np.testing.assert_allclose(probability[0], np.exp(logits) / np.exp(logits).sum(), atol=1e-5)


def test_tokens_of_two_channels_in_units_of_the_training_set_by_hand():
    training = np.random.default_rng(0).normal(size=(5, 12, 2)) * [1, 1000] + [7, 1e8]
    model = make_model((12, 2), patch_length=3, standardize="training_set", smallest_change=0.3)
    model.learn_scale(torch.from_numpy(training))
    mean, deviation = training.mean(axis=(0, 1)), training.std(axis=(0, 1), ddof=1)
    series = 2 * training[0] - mean
    channels = [tokens_by_hand(series[:, c], 3, 0.3, mean[c], deviation[c]) for c in (0, 1)]
    # Of each step: both values, both changes.
    expected = np.stack(channels, axis=3).reshape(4, 3 * 2 * 2)
    tokens = model.tokenize(torch.from_numpy(series)[None])
    np.testing.assert_allclose(tokens[0], expected, rtol=1e-5, atol=1e-5)
    training[:, :, 1] = 0.1  # as in scikit-learn, a constant channel is in units of its own
    model.learn_scale(torch.from_numpy(training))
    assert abs(model.scale(torch.from_numpy(training))[:, :, 1]).max() < 1e-10


def test_amplitude_and_offset_make_no_difference(waves):
    model = make_model()
    expected = model.predict(waves)
    for changed in (1e-100 * waves, 1e39 * waves, 1e140 * waves, waves + 1e8):
        for one, other in zip(model.predict(changed), expected):
            np.testing.assert_allclose(one, other, atol=1e-4)
    for value in (0.1, 0.7, 36.6):  # no rounding becomes a pattern
        assert model.tokenize(torch.full((1, 500, 1), value).double()).count_nonzero() == 0


def test_predict_is_the_same_for_any_type_and_batch_size(waves, monkeypatch):
    model, rounded = make_model(), np.round(waves * 10)
    expected = model.predict(rounded)
    monkeypatch.setattr("model.EVALUATION_BATCH", 7)
    for same in (rounded.astype(int), np.asfortranarray(rounded[:, :, 0]), rounded.tolist()):
        for one, other in zip(model.predict(same), expected):
            np.testing.assert_allclose(one, other, atol=1e-6)
    probability, attention = model.predict(rounded[5, :, 0])  # one series, (T,)
    assert probability.shape == (1, 2) and attention.shape == (1, 500)
    np.testing.assert_allclose(probability[0], expected[0][5], atol=1e-6)


def test_predict_refuses_other_series_than_those_of_the_training(waves):
    for steps, channels in ((490, 1), (500, 3)):
        said = rf"\(T, C\) of the series is \({steps}, {channels}\), in the training \(500, 1\)"
        with pytest.raises(UserError, match=said):
            make_model().predict(np.ones((2, steps, channels)))
    unknown = make_model(standardize="training_set")  # no scale was learned
    for model, series in ((make_model(standardize="none"), waves * 1e40), (unknown, waves)):
        with pytest.raises(UserError, match="no answer: the values are too large"):
            model.predict(series)
    for steps in (505, 10):  # what no network could be trained on
        with pytest.raises(UserError, match=f"T = {steps} must be a multiple of 10 and more than 15"):
            make_model((steps, 1))


def test_forget_bias_is_added_to_the_forget_gates_alone():
    for name in ("bias_ih_l0", "bias_ih_l0_reverse", "bias_hh_l0"):
        biases = [make_model(hidden_size=1, forget_bias=b).lstm.get_parameter(name) for b in (0, -8)]
        added = [0, -8 * ("ih" in name), 0, 0]  # to the gates input, forget, cell, output
        assert (biases[1] - biases[0]).tolist() == pytest.approx(added, abs=1e-5)


def test_one_thread_wherever_it_is_called_from_and_as_many_as_before_behind_it(waves):
    model, seen, left, labels = make_model(), [], [], np.arange(8) % 2
    model.lstm.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    dataset = SineWaveTorchDataset(waves[:8], labels)

    def use():
        torch.set_num_threads(3)
        model.predict(waves[:8])
        exchange(model, waves[:8], labels, 0)
        left.append(torch.get_num_threads())
        Trainer(model, **TRAINING).fit(dataset, dataset)
        left.append(torch.get_num_threads())

    ThreadPoolExecutor(1).submit(use).result()
    use()
    torch.set_num_threads(1)
    assert set(seen) == {1} and left == [3] * 4


class OneWeight(nn.Module):
    """Its logits are 0 and its weight times the mean of a series; it keeps these means."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.tensor(0.5)), []

    def forward(self, series):
        means = series.float().mean(dim=(1, 2))
        self.seen += means.tolist()
        return torch.stack([0 * means, self.weight * means], dim=1), None


def test_one_epoch_is_adam_on_each_batch():
    # Five equal series in batches of 2, 2 and 1: the order makes no difference.
    model, dataset = OneWeight(), SineWaveTorchDataset(np.full((5, 4), 3.0), np.ones(5))
    val_set = SineWaveTorchDataset([[3.0], [3.0], [3.0], [-3.0]], np.ones(4))
    settings = TRAINING | {"batch_size": 2, "max_epochs": 1, "learning_rate": 0.02}
    history = Trainer(model, **settings).fit(dataset, val_set)
    weight, m, v, total = 0.5, 0.0, 0.0, 0.0
    for step, size in ((1, 2), (2, 2), (3, 1)):  # Kingma & Ba 2015, algorithm 1
        total += size * np.log1p(np.exp(-3 * weight))
        gradient = -3 * expit(-3 * weight)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        weight -= 0.02 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    assert model.weight.item() == pytest.approx(weight, rel=1e-5)
    val_loss = (3 * np.log1p(np.exp(-3 * weight)) + np.log1p(np.exp(3 * weight))) / 4
    expected = {"train_loss": total / 5, "val_loss": val_loss, "val_accuracy": 3 / 4}
    assert {name: history[name][0] for name in expected} == pytest.approx(expected)


def test_each_epoch_has_all_series_in_a_new_order():
    model, dataset = OneWeight(), SineWaveTorchDataset(np.arange(20.0)[:, None], np.arange(20) % 2)
    Trainer(model, **TRAINING | {"max_epochs": 2}).fit(dataset, dataset)
    first, val, second, _ = np.reshape(model.seen, (4, 20)).tolist()  # training, validation, and so on
    assert sorted(first) == sorted(second) == val == [*range(20)] and first != second != val


def test_trainer_stops_early_and_gives_back_the_best_weights(monkeypatch):
    def fit(val_losses, on_epoch=None):
        model, losses = OneWeight(), iter(val_losses)

        def run_epoch(trainer, loader, optimizer=None):
            model.weight.data += optimizer is not None
            return 1.0 if optimizer else next(losses), 0.5

        monkeypatch.setattr(Trainer, "_run_epoch", run_epoch)
        return model.weight, Trainer(model, **TRAINING | {"max_epochs": 9}).fit([0], [0], on_epoch)

    losses, seen = [0.9, 0.5, 0.3, 0.4, 0.35, 0.6, 0.1], []
    weight, history = fit(losses, lambda *values: seen.append(values))
    assert history["val_loss"] == losses[:6]  # three epochs without a better one
    assert history["best_epoch"] == 3 and weight.item() == 3.5
    names = ("train_loss", "val_loss", "val_accuracy", "seconds")
    assert seen == [*zip(range(1, 7), *(history[name] for name in names))]
    weight, history = fit([0.5, 0.3, *[float("nan")] * 3])
    assert len(history["val_loss"]) == 5 and weight.item() == 2.5
    with pytest.raises(UserError, match="no finite number: try a lower learning rate"):
        fit([float("nan")] * 3)


class MaxPooling(nn.Module):
    def forward(self, states):
        context, places = states.max(dim=1)
        context = nn.functional.dropout(context, 0.5, self.training)  # predict never drops
        return context, nn.functional.one_hot(places, states.shape[1]).float().mean(dim=1)


class MaxClassifier(AttentionClassifier):
    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.pool = MaxPooling()


def test_a_pooling_of_ones_own_trains_and_comes_back(tmp_path):
    overrides = ["data.dataset_size=60", "data.num_points=50", "model.standardize=training_set"]
    config, path = load_config(overrides=overrides), tmp_path / "mine" / "model.pt"
    splits = make_splits(config["data"])
    model, _ = train(config, splits, network=MaxClassifier)
    expected = model.predict(splits.test.series)
    save_checkpoint(path, model)
    loaded, run = load_checkpoint(path, network=MaxClassifier)
    assert run is None and loaded.shape == (50, 1)
    for one, other in zip(loaded.predict(splits.test.series), expected):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UserError, match="holds no AttentionClassifier .* or pass network= in Python"):
        load_checkpoint(path)


@pytest.mark.parametrize("classes", [("ill", "nan", "well"), (b"a", b"b"), (False, True), (-1, 1)])
def test_classes_survive_a_checkpoint_as_they_are(tmp_path, classes):
    save_checkpoint(tmp_path / "model.pt", make_model(classes=classes), {"a": [1]})
    loaded, run = load_checkpoint(tmp_path / "model.pt")
    assert loaded.classes == classes and [*map(type, loaded.classes)] == [*map(type, classes)]
    assert run == {"a": [1]}


class Malicious:
    def __reduce__(self):
        return exec, ("import constants; constants.code_was_run = True",)


@pytest.mark.parametrize("content", [[1, 2], {"AttentionClassifier": {}}, {"run": Malicious()}, None])
def test_files_that_hold_no_network_are_refused(tmp_path, content):
    path = tmp_path / "model.pt"
    torch.save(content, path)
    if content is None:  # half a file
        save_checkpoint(path, make_model())
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="model.pt is missing, or holds no AttentionClassifier of this"):
        load_checkpoint(path)
    assert not hasattr(constants, "code_was_run")


def test_a_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch):
    model, path = make_model(), tmp_path / "model.pt"
    model.register_buffer("new_buffer", torch.ones(1))
    save_checkpoint(path, model)
    with pytest.raises(UserError, match="holds no AttentionClassifier of this version: run train.py"):
        load_checkpoint(path)
    save_checkpoint(path, make_model())
    monkeypatch.setitem(constants.SETTINGS["model"], "new_setting", (0, 1))
    with pytest.raises(UserError, match="holds no AttentionClassifier of this version: run train.py"):
        load_checkpoint(path)

import threading

import numpy as np
import pytest
import torch
from torch import nn

import constants
from data import SineWaveTorchDataset, make_splits, split_series
from data_utils import UserError, load_config
from model import (
    LAG,
    AttentionClassifier,
    Trainer,
    cross_entropy,
    load_checkpoint,
    save_checkpoint,
)
from train import train


def make_model(seed=0, **changes):
    torch.manual_seed(seed)
    model = AttentionClassifier(**load_config()["model"] | changes)
    with torch.no_grad():  # away from the special start, so that every part matters
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def waves():
    return make_splits(load_config(overrides=["data.dataset_size=200"])["data"]).train.series


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_by_hand(tokens, w_ih, w_hh, b_ih, b_hh):
    """One direction over tokens (N, F), gate by gate."""
    size = w_hh.shape[1]
    hidden, cell, states = np.zeros(size), np.zeros(size), []
    for token in tokens:
        gates = w_ih @ token + b_ih + w_hh @ hidden + b_hh
        i, f, g, o = (gates[k * size : (k + 1) * size] for k in range(4))
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


def tokens_by_hand(series, length, c, mean, deviation):
    """One channel (T,): values of a patch beside the changes over LAG patches around each step."""
    z, lag = (series - mean) / deviation, int(np.ceil(LAG * length))
    change = []
    for step in range(len(z)):
        first = min(max(step - lag // 2, 0), len(z) - 1 - lag)
        change.append(np.arcsinh((z[first + lag] - z[first]) / c))
    return np.column_stack([z, change]).reshape(len(z) // length, length, 2)


def make_series():
    return np.array([0.0, 1, 3, 2, 2, 2, 5, 4, 1, -1, 0, 2])


@pytest.mark.parametrize("attention", [True, False])
def test_forward_equals_the_same_steps_by_hand(attention):
    sizes = {"patch_length": 3, "hidden_size": 2, "attention_size": 3}
    model, series = make_model(**sizes, smallest_change=0.3, attention=attention), make_series()
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    tokens = tokens_by_hand(series, 3, 0.3, series.mean(), series.std(ddof=1)).reshape(4, 6)

    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    forward = lstm_by_hand(tokens, *(w[f"lstm.{name}"] for name in names))
    backward = lstm_by_hand(tokens[::-1], *(w[f"lstm.{name}_reverse"] for name in names))[::-1]
    states = np.hstack([forward, backward])
    hidden = np.tanh(states @ w["score.0.weight"].T + w["score.0.bias"])
    scores = hidden @ w["score.2.weight"][0] if attention else np.zeros(4)
    weights = np.exp(scores) / np.exp(scores).sum()
    logit = weights @ states @ w["classifier.weight"][0] + w["classifier.bias"][0]

    logits, shared = model(torch.tensor(series)[None])
    assert logits.item() == pytest.approx(logit, abs=1e-5)
    np.testing.assert_allclose(shared[0].detach(), np.repeat(weights / 3, 3), atol=1e-6)


def test_tokens_of_two_channels_in_units_of_the_training_set_by_hand():
    rng = np.random.default_rng(0)
    training = rng.normal(size=(5, 12, 2)) * [1, 1000] + [7, 1e8]
    model = make_model(patch_length=3, channels=2, standardize="training_set", smallest_change=0.3)
    with pytest.raises(UserError, match="needs learn_units first"):
        model.predict(training)
    model.learn_units(torch.from_numpy(training))
    mean, deviation = training.mean(axis=(0, 1)), training.std(axis=(0, 1), ddof=1)
    series = 2 * training[0] - mean
    channels = [tokens_by_hand(series[:, c], 3, 0.3, mean[c], deviation[c]) for c in (0, 1)]
    # Of each step: both values, both changes.
    expected = np.stack(channels, axis=3).reshape(4, 3 * 2 * 2)
    tokens = model.tokenize(torch.from_numpy(series)[None])
    np.testing.assert_allclose(tokens[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("patch_length", [1, 5, 10])
def test_attention_is_a_distribution_over_time_steps(waves, patch_length):
    _, attention = make_model(patch_length=patch_length).predict(waves)
    assert attention.shape == waves.shape and attention.min() >= 0
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)
    assert np.all(attention == attention[:, ::patch_length].repeat(patch_length, axis=1))
    assert np.ptp(attention) > 0


def test_amplitude_and_offset_make_no_difference(waves):
    model = make_model()
    expected, expected_attention = model.predict(waves)
    for changed in (1e-100 * waves, 1e39 * waves, 1e140 * waves, waves + 1e8):
        probability, attention = model.predict(changed)
        np.testing.assert_allclose(probability, expected, atol=1e-4)
        np.testing.assert_allclose(attention, expected_attention, atol=1e-4)
    raw, _ = make_model(standardize="none").predict(10 * waves)
    assert np.abs(raw - expected).max() > 0.01


@pytest.mark.parametrize("value", [0.1, 0.7, 36.6])
def test_constant_series_gives_tokens_of_zeros(value):
    tokens = make_model().tokenize(torch.full((1, 500), value, dtype=torch.float64))
    assert tokens.count_nonzero() == 0


def test_a_model_is_saved_with_its_own_config(tmp_path):
    path = tmp_path / "model.pt"
    with pytest.raises(UserError, match="not made with this config, but with .*'forget_bias': -8"):
        save_checkpoint(path, make_model(forget_bias=-8), load_config())
    assert not list(tmp_path.iterdir())
    for _ in range(2):  # one's own may be replaced
        save_checkpoint(path, make_model(), load_config())
    (tmp_path / "history.json").touch()
    with pytest.raises(UserError, match="holds a run of train.py: choose another folder"):
        save_checkpoint(path, make_model(), load_config())


def test_a_channel_that_never_changes_is_named(waves):
    series = np.stack([waves, np.full(waves.shape, 0.1)], axis=2)
    model = make_model(standardize="training_set", channels=2)
    with pytest.raises(UserError, match="channel 1 is constant in the whole training set"):
        model.learn_units(torch.from_numpy(series))


def test_predict_is_the_same_for_any_type_and_batch_size(waves, monkeypatch):
    model, rounded = make_model(), np.round(waves * 10)
    probability, attention = model.predict(rounded)
    monkeypatch.setattr("model.EVALUATION_BATCH", 7)
    others = (rounded.astype(int), rounded.astype(np.float64), np.asfortranarray(rounded))
    for same in (*others, torch.from_numpy(rounded), rounded.tolist()):
        other, other_attention = model.predict(same)
        np.testing.assert_allclose(other, probability, atol=1e-6)
        np.testing.assert_allclose(other_attention, attention, atol=1e-6)
    one, one_attention = model.predict(list(rounded[5]))
    assert one.shape == (1,) and one_attention.shape == (1, 500)
    np.testing.assert_allclose(one[0], probability[5], atol=1e-6)


@pytest.mark.parametrize(
    "shape, said",
    [
        ((2, 505), r"\(N, 505\) are not whole patches of 10 steps"),
        ((2, 10), r"\(N, 10\) are not .*, more than 15 steps"),
        ((2, 500, 3), r"\(N, 500, 3\) have 3 channels, but model.channels is 1"),
    ],
)
def test_predict_refuses_other_shapes(shape, said):
    with pytest.raises(UserError, match=f"series of the shape {said}"):
        make_model().predict(np.ones(shape))


def test_predict_refuses_what_would_overflow_or_give_no_number(waves):
    with pytest.raises(UserError, match="the answer to series 0 is not a number"):
        make_model(standardize="none").predict(waves * 1e40)
    model = make_model()
    model.classifier.bias.data.fill_(torch.nan)
    with pytest.raises(UserError, match="the answer to series 0 is not a number"):
        model.predict(waves)


def test_change_is_centred_on_each_step():
    values = torch.tensor([[1.0, 2, 4, 8, 16, 32]]).unsqueeze(2)
    assert make_model(patch_length=1).change(values).flatten().tolist() == [3, 3, 6, 12, 24, 24]
    assert make_model(patch_length=2).change(values).flatten().tolist() == [7, 7, 14, 28, 28, 28]


class MaxPooling(AttentionClassifier):
    def pool(self, states):
        context, steps = states.max(dim=1)  # (B, 2H)
        weights = torch.nn.functional.one_hot(steps, states.shape[1]).float().mean(dim=1)
        return context, weights


@pytest.mark.parametrize("network", [AttentionClassifier, MaxPooling])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_network_trains_predicts_and_comes_back(tmp_path, network, channels):
    overrides = ["data.dataset_size=200", "data.num_points=100", "training.max_epochs=2"]
    overrides += [f"model.channels={channels}", "model.standardize=training_set"]
    config, path = load_config(overrides=overrides), tmp_path / "mine" / "model.pt"
    splits = make_splits(config["data"])
    if channels == 2:
        two = lambda split: split._replace(series=np.stack([split.series, -split.series], axis=2))
        splits = type(splits)(*map(two, splits))
    model, history = train(config, splits, network=network)
    assert len(history["val_loss"]) == 2
    probability, attention = model.predict(splits.test.series)
    assert probability.shape == (40,) and attention.shape == (40, 100)
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)
    save_checkpoint(path, model, config)
    loaded, _ = load_checkpoint(path, network=network)
    np.testing.assert_array_equal(loaded.predict(splits.test.series)[0], probability)
    if network is MaxPooling:
        with pytest.raises(UserError, match="holds a MaxPooling: in Python, pass network=MaxPooling"):
            load_checkpoint(path)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda part: {"labels": part.labels + 1}, "labels must be 0 and 1"),
        (lambda part: {"labels": part.labels * 0}, r"labels are \[0\]: model.classes=2 needs as many"),
        (lambda part: {"labels": np.arange(20) % 3}, r"labels are \[0, 1, 2\]: model.classes=2"),
        (lambda part: {"series": part.series * [np.nan, *[1] * 99]}, "series 0 holds NaN"),
        (lambda part: {"series": part.series[:, :50]}, r"\(20, 50\); .* say \(N, 100, 1\)"),
        (lambda part: {"series": part.series[:, None]}, r"\(20, 1, 100\); .* say \(N, 100, 1\)"),
    ],
)
def test_train_refuses_before_the_training(monkeypatch, change, said):
    monkeypatch.setattr(Trainer, "fit", lambda *args: pytest.fail("the training began"))
    config = load_config(overrides=["data.dataset_size=200", "data.num_points=100"])
    splits = make_splits(config["data"])
    with pytest.raises(UserError, match=said):
        train(config, splits._replace(val=splits.val._replace(**change(splits.val))))


def test_three_classes_train_predict_and_come_back(tmp_path):
    """Constant, rising and falling series, in the order of their classes."""
    labels = np.repeat([0, 1, 2], 60)
    slope = np.array([0.0, 1, -1])[labels][:, None]
    series = slope * np.arange(20) + 0.1 * np.random.default_rng(0).normal(size=(180, 20))
    sizes = ["data.num_points=20", "model.patch_length=5", "model.classes=3"]
    sizes += ["training.batch_size=8", "training.max_epochs=9"]
    config = load_config(overrides=sizes)
    splits = split_series(series, labels, None, config["data"])
    model, history = train(config, splits)
    probability, _ = model.predict(splits.test.series)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
    assert np.array_equal(probability.argmax(axis=1), splits.test.labels)
    assert history["val_accuracy"][-1] == 1
    save_checkpoint(tmp_path / "model.pt", model, config)
    loaded, _ = load_checkpoint(tmp_path / "model.pt")
    np.testing.assert_array_equal(loaded.predict(splits.test.series)[0], probability)


def test_cross_entropy_of_two_and_of_more_classes_by_hand():
    two = cross_entropy(torch.tensor([0.0, 2.0]), torch.tensor([0, 1]))
    assert two.item() == pytest.approx((np.log(2) + np.log1p(np.exp(-2))) / 2)
    three = cross_entropy(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([1]))
    assert three.item() == pytest.approx(np.log(1 + np.e + np.e**2) - 1)


def test_one_thread_wherever_it_is_called_from(waves):
    model, seen = make_model(), []
    model.lstm.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    other = threading.Thread(target=model.predict, args=(waves,))
    other.start()
    other.join()
    model.predict(waves)
    assert set(seen) == {1}


def test_forget_bias_is_added_to_the_forget_gates_alone():
    model, other = make_model(forget_bias=0), make_model(forget_bias=-8)
    for name, parameter in model.named_parameters():
        added = other.get_parameter(name) - parameter
        if name in ("lstm.bias_ih_l0", "lstm.bias_ih_l0_reverse"):
            added = added.reshape(4, -1) + torch.tensor([[0.0], [8.0], [0.0], [0.0]])
        torch.testing.assert_close(added, torch.zeros_like(added))


# ---------------------------------------------------------------- training


def tiny_training(**changes):
    sizes = {"batch_size": 8, "max_epochs": 3, "patience": 3}
    return sizes | {"learning_rate": 1e-3, "schedule": "constant", "seed": 0} | changes


class ScriptedModel(nn.Module):
    """Its validation losses follow a script; its one weight counts the epochs."""

    def __init__(self, val_losses):
        super().__init__()
        self.val_losses = iter(val_losses)
        self.epochs = nn.Parameter(torch.zeros(1), requires_grad=True)

    def forward(self, series):
        if self.training:
            with torch.no_grad():
                self.epochs += 1
            return 0 * self.epochs.expand(len(series)), None
        # For label 1, the loss of logit x is log(1 + exp(-x)).
        loss = torch.tensor(next(self.val_losses))
        return -torch.log(torch.expm1(loss)).expand(len(series)), None


def scripted_fit(val_losses, on_epoch=None, **settings):
    model = ScriptedModel(val_losses)
    dataset = SineWaveTorchDataset(np.zeros((4, 5)), np.ones(4))
    history = Trainer(model, **tiny_training(**settings)).fit(dataset, dataset, on_epoch)
    return model, history


def test_trainer_stops_early_and_gives_back_the_best_weights():
    losses = [0.9, 0.5, 0.3, 0.4, 0.35, 0.6, 0.1]
    model, history = scripted_fit(losses, max_epochs=7, patience=3)
    assert history["val_loss"] == pytest.approx(losses[:6])  # three epochs without a better one
    assert history["best_epoch"] == 3
    assert model.epochs.item() == pytest.approx(3)


def test_one_cycle_does_not_stop_while_the_rate_rises():
    losses = [0.5, *[0.9] * 6, 0.1, 0.1, 0.1]  # ten epochs: the rate is highest after three
    _, history = scripted_fit(losses, max_epochs=10, patience=2, schedule="one_cycle")
    assert len(history["val_loss"]) == 5 and history["best_epoch"] == 1
    _, history = scripted_fit(losses, max_epochs=10, patience=2)
    assert len(history["val_loss"]) == 3


def test_a_loss_that_becomes_nan_ends_the_training_at_the_best_epoch():
    seen = []
    losses = [0.5, 0.3, float("nan"), 0.1]
    model, history = scripted_fit(losses, lambda epoch, *_: seen.append(epoch), max_epochs=4)
    assert seen == [1, 2, 3] and history["best_epoch"] == 2 and len(history["val_loss"]) == 2
    assert model.epochs.item() == pytest.approx(2)
    with pytest.raises(UserError, match="no finite number: try a lower learning rate"):
        scripted_fit([float("nan")])


class OneWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, series):
        return self.weight * series.float().mean(dim=1), None


def test_one_epoch_is_adam_on_each_batch():
    # Five equal series in batches of 2, 2 and 1: the order makes no difference.
    dataset = SineWaveTorchDataset(np.full((5, 4), 3.0), np.ones(5))
    model, settings = OneWeight(), tiny_training(batch_size=2, max_epochs=1, learning_rate=0.02)
    history = Trainer(model, **settings).fit(dataset, dataset)
    weight, m, v, losses = 0.5, 0.0, 0.0, []
    for step in (1, 2, 3):  # Kingma & Ba 2015, algorithm 1
        losses.append(np.log1p(np.exp(-3 * weight)))
        gradient = -3 * sigmoid(-3 * weight)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        weight -= 0.02 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    assert model.weight.item() == pytest.approx(weight, rel=1e-5)
    assert history["train_loss"] == pytest.approx([(2 * losses[0] + 2 * losses[1] + losses[2]) / 5])
    assert history["val_loss"] == pytest.approx([np.log1p(np.exp(-3 * weight))])


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_schedule_rules_the_learning_rate(monkeypatch, schedule):
    rates, betas = [], set()

    class RecordingAdam(torch.optim.Adam):
        def step(self, *args):
            rates.append(self.param_groups[0]["lr"])
            betas.add(self.param_groups[0]["betas"])
            return super().step(*args)

    monkeypatch.setattr(torch.optim, "Adam", RecordingAdam)
    scripted_fit([0.9, 0.8, 0.7], schedule=schedule, batch_size=1)
    assert len(rates) == 12 and betas == {(0.9, 0.999)}
    if schedule == "constant":
        assert set(rates) == {1e-3}
    else:
        assert rates[0] < 1e-4 and max(rates) > 0.9e-3 and rates[-1] < 1e-5


# ---------------------------------------------------------------- checkpoint


class Malicious:
    def __reduce__(self):
        return exec, ("import constants; constants.code_was_run = True",)


@pytest.mark.parametrize("kind", ["cut", "list", "code"])
def test_load_checkpoint_refuses_what_is_none(tmp_path, kind):
    config, path = load_config(), tmp_path / "model.pt"
    save_checkpoint(path, AttentionClassifier(**config["model"]), config)
    good = torch.load(path, weights_only=True)
    torch.save({"cut": good, "list": [1, 2], "code": good | {"config": Malicious()}}[kind], path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="model.pt is missing, or no checkpoint: run train.py first"):
        load_checkpoint(path)
    assert not hasattr(constants, "code_was_run")


def test_an_older_checkpoint_names_what_it_lacks(tmp_path, monkeypatch):
    config, path = load_config(), tmp_path / "model.pt"
    save_checkpoint(path, AttentionClassifier(**config["model"]), config)
    monkeypatch.setitem(constants.SETTINGS, "model.new_setting", (int, 0, 1))
    with pytest.raises(UserError, match="model.pt is of an older .*the config lacks model.new_setting"):
        load_checkpoint(path)
    monkeypatch.undo()
    good = torch.load(path, weights_only=True)
    del good["parameters"]["classifier.weight"]
    torch.save(good, path)
    with pytest.raises(UserError, match="model.pt is of an older (.|\n)*classifier.weight"):
        load_checkpoint(path)

"""Why is the article's attention late, and is it faithful?"""

import numpy as np
import torch
from scipy.ndimage import binary_dilation, shift

from constants import ANOMALOUS, CLASSES, CONFIG_FILE, PROJECT_DIR
from data import make_splits
from data_utils import UserError, load_config, run_script
from experiments import common
from model import AttentionClassifier
from train import train

ARTICLE = PROJECT_DIR / "configs" / "article.json"
RENAMED = {"attention.0": "pool.hidden", "attention.2": "pool.query", "classifier.0": "classifier"}
ROWS = common.SCORES | common.EXCHANGE
ROWS |= {
    "ROC AUC of probabilities; of hard labels, it is the accuracy": ("roc_auc", 4),
    "best shift of the mask, in steps": ("shift", 0, max),
    "mass there": ("shifted_mass", 3),
    "best shift, series read backwards": ("backwards", 0, max),
    "attention on the first 40 steps of the segment": ("first", 3),
    "... on the 80 steps behind its end": ("behind", 3, max),
    "normal series: steps at most 10 from a peak or a trough": ("near", 3),
    "... attention on these steps": ("attention_near", 3),
    "... attention, moved 40 steps earlier, on them": ("moved_near", 3),
}


def load_published(path):
    """The network with the parameters that the article's author published. UserError: other ones."""
    model = AttentionClassifier(CLASSES, (500, 1), **load_config(ARTICLE)["model"])
    try:
        parameters = torch.load(path, weights_only=True)
        del parameters["attention.2.bias"]  # added to every score, it cancels in the softmax
        for theirs, ours in RENAMED.items():
            parameters = {name.replace(theirs, ours): value for name, value in parameters.items()}
        model.load_state_dict(parameters | dict(model.named_buffers()))
    except Exception as error:  # a broken file can raise anything
        raise UserError(f"{path} is missing, or does not hold the article's parameters") from error
    return model


def share(attention, places, moved=0):
    """The attention (N, T), moved by some steps, on places, bool (N, T); what is moved out is lost."""
    return (shift(attention, (0, moved), order=0) * places).sum(axis=1).mean()


def best_shift(attention, flat_mask):
    """The most attention that the mask holds if it is moved, and by how many steps (later: above 0)."""
    return max((share(attention, flat_mask, -steps), steps) for steps in range(-100, 101))


def start_and_behind(attention, flat_mask):
    """The attention on the first 40 steps of a segment and on the 80 behind it, if there are as many."""
    rows = ~flat_mask[:, -80:].any(axis=1)
    attention, flat_mask = attention[rows], flat_mask[rows]
    age = flat_mask.cumsum(axis=1)  # 1 on the first step
    behind = ((age > 0) & ~flat_mask).cumsum(axis=1)
    return share(attention, flat_mask & (age <= 40)), share(attention, (behind > 0) & (behind <= 80))


def near_extrema(waves):
    """Waves (N, T) without noise -> bool (N, T), True at most 10 steps from a peak or a trough."""
    rising = np.diff(waves, axis=1) > 0
    extrema = np.pad(rising[:, 1:] != rising[:, :-1], ((0, 0), (1, 1)))
    return binary_dilation(extrema, np.ones((1, 21)))


def analyse(args, seed, path, model=None, *overrides):
    """All measurements of a network on test series, {name: value}; without a network, one is trained."""
    config = common.settings(args, seed, *overrides, path=path)
    splits = make_splits(config["data"])
    model = model or train(config, splits)[0]
    results = common.scores(model, splits.test)
    rows, (_, attention) = splits.test.labels == ANOMALOUS, model.predict(splits.test.series)
    flat_mask, (_, backwards) = splits.test.flat_mask[rows], model.predict(splits.test.series[:, ::-1])
    results["shifted_mass"], results["shift"] = best_shift(attention[rows], flat_mask)
    _, results["backwards"] = best_shift(backwards[rows], flat_mask[:, ::-1])
    results["first"], results["behind"] = start_and_behind(attention[rows], flat_mask)
    near = near_extrema(splits.test.series[~rows, :, 0])
    results |= {"near": near.mean(), "attention_near": share(attention[~rows], near)}
    return results | {"moved_near": share(attention[~rows], near, -40)}


def main():
    args = common.parse_args(__doc__, parameters="those that the article's author published")
    args.seeds, default = args.seeds[:3], {"our default": (CONFIG_FILE,)}  # the article's takes minutes
    if args.parameters:  # the same file for everybody: these results are kept, too, beside the others
        args.is_full, file, command = not args.quick, "article_published", "article --parameters FILE"
        rows = {"the published parameters": (ARTICLE, load_published(args.parameters))} | default
    else:
        file, command, rows = __file__, None, {"the article's settings": (ARTICLE,)} | default
        values_alone = "model.differences=false", "training.max_epochs=10"  # two epochs are too few
        rows["... values alone, ten epochs"] = CONFIG_FILE, None, *values_alone
    results = common.measure(args, analyse, rows)
    cells = [
        [name, *(common.mean_and_worst(by_seed, *column) for by_seed in results.values())]
        for name, column in ROWS.items()
    ]
    table = common.markdown(["measured", *results], cells)
    common.write_results(args, file, __doc__, table, command=command)


if __name__ == "__main__":
    run_script(main)

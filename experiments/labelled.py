"""Does the recipe work for other series, and do the exchange test and the mask agree?"""

from functools import partial

from data_utils import run_script
from experiments import common, kinds
from train import train

BIAS_0 = "model.forget_bias=0"
PATCHES = {length: f"model.patch_length={length}" for length in (2, 5, 10, 20)}
FRACTIONS = ("data.val_fraction=0.25", "data.test_fraction=0.25")  # of 24 persons
ROWS = {  # the kind of series, and the settings that differ from the recipe
    "bump": (kinds.bumps,),
    "bump, forget bias 0": (kinds.bumps, BIAS_0),
    "chirp, patches of 2": (kinds.chirps, PATCHES[2]),
    "chirp, patches of 2, forget bias 0": (kinds.chirps, PATCHES[2], BIAS_0),
    "chirp, patches of 5": (kinds.chirps, PATCHES[5]),
    "chirp, patches of 10": (kinds.chirps, PATCHES[10]),
    "missing beat": (kinds.beats,),
    "missing beat, forget bias 0": (kinds.beats, BIAS_0),
    "level shift": (kinds.shifts,),
    "change of frequency": (kinds.frequencies,),
    "louder noise": (partial(kinds.bumps, height=0, spread=3),),
    "bump, 72 + 5 x": (partial(kinds.bumps, factor=5, offset=72),),
    "bump, x / 1000": (partial(kinds.bumps, factor=0.001),),
    "bump, 101325 + 400 x": (partial(kinds.bumps, factor=400, offset=101325),),
    "bump, padded with zeros": (kinds.padded_bumps,),
    "bump, padded with the mean of the series": (partial(kinds.padded_bumps, with_means=True),),
    "bump, persons of other levels": (kinds.bumps_of_persons,),
    "... the level of each subtracted": (partial(kinds.bumps_of_persons, subtract=True),),
    # Here the exchange of a tenth of the tokens may say too little, or too much.
    "two bumps, one would be enough": (partial(kinds.bumps, twice=True),),
    "bump of two thirds of the series": (partial(kinds.bumps, length=80),),
    "bump, 6 tokens in all": (kinds.bumps, PATCHES[20]),
    "the class that lacks a bump": (partial(kinds.bumps, label=0),),
    "24 persons, split at random": (kinds.persons, *FRACTIONS),
    "24 persons, split by person": (partial(kinds.persons, by_person=True), *FRACTIONS),
}
AGREE = """*Agree*: in how many of the trainings both are true, or neither: the most attended tokens fall, and at
least twice as far as random ones (the test), and the mass is more than 0.5 (the mask).
"""
COLUMNS = common.SCORES | common.EXCHANGE


def measure_kind(args, seed, *kind):
    """The scores of a network, and whether test and mask agree, see AGREE; without a mask, the accuracy."""
    config, splits = kinds.make_labelled_splits(args, seed, *kind)
    scores = common.scores(train(config, splits)[0], splits.test)
    if splits.test.flat_mask is None:
        return {"accuracy": scores["accuracy"]}
    faithful = scores["attended"] > 0 and scores["attended"] >= 2 * scores["random"]
    return scores | {"agree": faithful == (scores["mass"] > 0.5)}


def cells(by_seed):
    means = [common.mean_and_worst(by_seed, *c) if c[0] in by_seed[0] else "" for c in COLUMNS.values()]
    return [*means, sum(scores["agree"] for scores in by_seed) if "agree" in by_seed[0] else ""]


def main():
    args = common.parse_args(__doc__)
    results = common.measure(args, measure_kind, ROWS)
    rows = [[name, *cells(by_seed)] for name, by_seed in results.items()]
    table = common.markdown(["series", *COLUMNS, "agree"], rows)
    common.write_results(args, __file__, __doc__, table, AGREE)


if __name__ == "__main__":
    run_script(main)

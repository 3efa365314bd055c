"""Which networks are plausible, and which are faithful?"""

from data import make_splits
from data_utils import run_script
from experiments import common, zoo
from model import AttentionClassifier
from train import train

OWN_UNIT = "own unit"  # of each series; with a short memory, and ten epochs
ONE_DRAW = "Transformer, one draw of data"
NETWORKS = {  # the class, and the settings that differ
    "default": (AttentionClassifier,),
    "mean pooling": (AttentionClassifier, "model.attention=false"),
    "last state": (zoo.LastState,),
    OWN_UNIT: (zoo.OwnUnit, "model.forget_bias=-8", "training.max_epochs=10"),
    "Transformer": (zoo.Transformer, *zoo.FAIR_TRAINING),
    # The seeds of the rows above draw other data each; here, they are those of the training alone.
    ONE_DRAW: (zoo.Transformer, *zoo.FAIR_TRAINING, "data.seed=0"),
}
BY_SEED = ("default", OWN_UNIT, "Transformer", ONE_DRAW)


def measure_network(args, seed, network, *overrides):
    config = common.settings(args, seed, *overrides)
    splits = make_splits(config["data"])
    model, _ = train(config, splits, network=network)
    return common.scores(model, splits.test)


def main():
    args = common.parse_args(__doc__)
    noisy = {f"{name}, 5 % noise": (*row, "data.noise=0.05") for name, row in NETWORKS.items()}
    del noisy[f"{ONE_DRAW}, 5 % noise"]  # it takes minutes, and answers nothing new
    results = common.measure(args, measure_network, NETWORKS | noisy)
    cell = "{mass:.3f}, {attended:.1f}, {random:.1f}".format_map
    rows = [[name, *map(cell, results[name])] for name in BY_SEED]
    by_seed = common.markdown(["mass, fall, random", *(f"seed {s}" for s in args.seeds)], rows)
    table = common.table("network", common.SCORES | common.EXCHANGE, results)
    common.write_results(args, __file__, __doc__, table, by_seed)


if __name__ == "__main__":
    run_script(main)

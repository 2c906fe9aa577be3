"""Run the lessons' ablations over many seeds and store the results that are missing.

It may be stopped at any time: each result is stored as soon as it is there.
"""

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from tx_utils.experiments import EXPERIMENTS, collect
from tx_utils.experiments.evidence import FOLDER, SEEDS


def main() -> None:
    """Parse the arguments and collect the evidence, experiment by experiment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="experiments; all if none is named")
    parser.add_argument("--first-seed", type=int, default=SEEDS[0], help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="number of seeds")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files go")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(EXPERIMENTS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(EXPERIMENTS)}")

    torch.set_num_threads(1)  # as the lessons do; more threads change the last digits
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for name in arguments.names or EXPERIMENTS:
        experiment = EXPERIMENTS[name]
        done = collect(experiment, seeds, arguments.folder)
        for _ in tqdm(done, desc=name, total=len(experiment.variants) * len(seeds), unit="run"):
            pass


if __name__ == "__main__":
    main()

"""The lessons' ablations: each a set of variants that differ in one thing, and what they came to.

`EXPERIMENTS` lists them; `load_evidence` reads the results of ten seeds that are stored for each.
"""

from tx_utils.experiments import address_book, scaling, sorting
from tx_utils.experiments.evidence import Evidence, Experiment, Result, collect, load_evidence

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (address_book.EXPERIMENT, scaling.EXPERIMENT, sorting.EXPERIMENT)
}

__all__ = ["EXPERIMENTS", "Evidence", "Experiment", "Result", "collect", "load_evidence"]

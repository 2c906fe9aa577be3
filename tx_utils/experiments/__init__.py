"""The lessons' ablations: each a set of variants that differ in one thing, and what they came to.

`EXPERIMENTS` lists them; `load_evidence` reads the results of ten seeds that are stored for each.
"""

from tx_utils.experiments import address_book, extrapolation, positions, scaling
from tx_utils.experiments.evidence import Evidence, Experiment, Result, collect, load_evidence

EXPERIMENTS: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT
    for module in (address_book, scaling, positions, extrapolation)
}

__all__ = ["EXPERIMENTS", "Evidence", "Experiment", "Result", "collect", "load_evidence"]

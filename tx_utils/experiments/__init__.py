"""The lessons' ablations: each a set of variants that differ in one thing, and what they came to.

`EXPERIMENTS` lists them; `load_evidence` reads the results of ten seeds that are stored for each.
"""

from tx_utils.experiments import address_book, exclusive_or, scaling, sum_modulo
from tx_utils.experiments.evidence import Evidence, Experiment, Result, collect, load_evidence

EXPERIMENTS: dict[str, Experiment] = {
    lesson.EXPERIMENT.name: lesson.EXPERIMENT
    for lesson in (address_book, scaling, sum_modulo, exclusive_or)
}

__all__ = ["EXPERIMENTS", "Evidence", "Experiment", "Result", "collect", "load_evidence"]

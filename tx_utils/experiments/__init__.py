"""The lessons' ablations: each a set of variants that differ in one thing, and what they came to.

`EXPERIMENTS` lists them; `load_evidence` reads the results of ten seeds that are stored for each.
"""

from tx_utils.experiments import (
    address_book,
    craft,
    depth,
    digits,
    digits_again,
    exclusive_or,
    extrapolation,
    lost_days,
    positions,
    puzzles,
    scaling,
    sorting,
    sum_modulo,
    topics,
    translation,
    two_lookups,
    weather,
)
from tx_utils.experiments.evidence import Evidence, Experiment, Result, collect, load_evidence

LESSONS = (
    *(weather, address_book, scaling, two_lookups, positions, extrapolation),
    *(sum_modulo, exclusive_or, depth, sorting, translation, craft),
    *(digits, digits_again, puzzles, lost_days, topics),
)
EXPERIMENTS: dict[str, Experiment] = {
    module.EXPERIMENT.name: module.EXPERIMENT for module in LESSONS
}

__all__ = ["EXPERIMENTS", "Evidence", "Experiment", "Result", "collect", "load_evidence"]

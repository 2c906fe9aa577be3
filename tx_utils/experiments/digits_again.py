"""Lesson 09's digits once more: two rounds of splits that were made after the lesson's rule.

Which difference counts was decided with the first two rounds in sight. These judge the rule.
"""

from tx_utils.experiments import digits
from tx_utils.experiments.evidence import Experiment

FIRST_SEED = 100  # stored as seed 0
READERS = (digits.VIT_2, digits.VIT_4, f"{digits.VIT_4}, not augmented")
RIVALS = ("logistic regression", "nearest neighbours", "SVM")

EXPERIMENT = Experiment(
    name="digits_again",
    settings={"first_seed": FIRST_SEED, "digits": digits.EXPERIMENT.settings},
    floors=digits.EXPERIMENT.floors,
    variants=(*READERS, *RIVALS),
    run=lambda variant, seed: digits.run(variant, FIRST_SEED + seed)[2],
)

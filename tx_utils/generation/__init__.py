"""Generation: let a trained model write, and say whether what it wrote is right."""

from tx_utils.generation.autoregressive import generate
from tx_utils.generation.beam import beam_search
from tx_utils.generation.exact_match import exact_match
from tx_utils.generation.greedy import greedy_decode
from tx_utils.generation.sampling import sampling_distribution

__all__ = ["beam_search", "exact_match", "generate", "greedy_decode", "sampling_distribution"]

"""The weather: tomorrow's depends on today's and on a roll of a four-sided die.

Nobody can foresee the die, so even a perfect forecast has a loss: a floor that is neither 0 nor
chance. What is needed for the best forecast stands in the token itself, so a model without
attention can learn it (lesson 00).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tx_utils._checks import check_positive

WEATHER = ("sun", "cloud", "rain", "wind", "fog", "snow", "storm", "hail")
FACES = 4  # of the die

# What follows each kind of weather, by the face of the die: one half, a quarter, a quarter.
RULES = {
    "sun": ("sun", "sun", "cloud", "wind"),
    "cloud": ("cloud", "cloud", "rain", "sun"),
    "rain": ("cloud", "cloud", "storm", "hail"),
    "wind": ("sun", "sun", "snow", "fog"),
    "fog": ("wind", "wind", "fog", "storm"),
    "snow": ("snow", "snow", "fog", "hail"),
    "storm": ("rain", "rain", "wind", "hail"),
    "hail": ("rain", "rain", "storm", "wind"),
}
# How many of 16 days have which weather in the long run: the rules keep these shares as they are.
DAYS_OF_16 = {
    **{"sun": 4, "cloud": 4, "rain": 2, "wind": 2},
    **{"fog": 1, "snow": 1, "storm": 1, "hail": 1},
}


@dataclass(frozen=True)
class Weather:
    """Sequences of days, each to be answered with the next day's weather.

    Whole numbers are all that is drawn, so a seed gives the same days on every machine.

    Attributes:
        days: Tokens per sequence, T.

    Raises:
        ValueError: if `days` is not a positive integer.

    Example:
        >>> today, tomorrow = Weather().sample(2, torch.Generator().manual_seed(0))
        >>> today.shape, bool((today[:, 1:] == tomorrow[:, :-1]).all())
        (torch.Size([2, 16]), True)
    """

    days: int = 16

    def __post_init__(self) -> None:
        """Refuse sequences without a day."""
        check_positive(days=self.days)

    def sample(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw sequences.

        Args:
            size: Number of sequences, B.
            generator: Source of the randomness.

        Returns:
            Tokens (B, days), positions in `WEATHER`, and the target (B, days): each one's next.
        """
        urn, successors = _urn(), _successors()
        drawn = [urn[torch.randint(len(urn), (size,), generator=generator)]]
        for face in torch.randint(FACES, (self.days, size), generator=generator):
            drawn.append(successors[drawn[-1], face])
        tokens = torch.stack(drawn, dim=1)
        return tokens[:, :-1], tokens[:, 1:]

    def every_case(self) -> tuple[Tensor, Tensor]:
        """Every pair of today and tomorrow, as often as it is likely: 16 days times 4 faces.

        The mean loss over these 64 pairs is the expected loss, without any sampling.

        Returns:
            Tokens (64, 1) and target (64, 1).
        """
        today = _urn().repeat_interleave(FACES)
        tomorrow = _successors()[_urn()].flatten()
        return today[:, None], tomorrow[:, None]

    @property
    def probabilities(self) -> Tensor:
        """How likely each weather is after each other: row today, column tomorrow.  (8, 8)."""
        return torch.nn.functional.one_hot(_successors(), len(WEATHER)).float().mean(dim=1)

    @property
    def chance(self) -> float:
        """Loss in nats of a model that holds all kinds of weather equally likely: ln 8."""
        return math.log(len(WEATHER))

    @property
    def blind_floor(self) -> float:
        """Least expected loss in nats of a model that does not see today's weather: 2.75 ln 2.

        All it can learn is how frequent each weather is: the entropy of the frequencies 1/4 (two
        kinds), 1/8 (two) and 1/16 (four), by Gibbs' inequality.
        """
        return (2 * 2 / 4 + 2 * 3 / 8 + 4 * 4 / 16) * math.log(2)

    @property
    def floor(self) -> float:
        """Least expected loss in nats of any model whatsoever: 1.5 ln 2.

        Given all days up to today, tomorrow's probabilities are 1/2, 1/4 and 1/4; by Gibbs'
        inequality no forecast costs less than their entropy.
        """
        return (1 / 2 + 2 / 4 + 2 / 4) * math.log(2)


def sample_floor(tokens: Tensor, target: Tensor) -> float:
    """Least mean loss in nats, on these very pairs, of any model that sees one token at a time.

    It is the entropy of the targets given the token, in the sample's own frequencies. A sample
    that is small has a floor below that of the task: it can be learnt by heart.

    Args:
        tokens: What the model sees.  (any shape)
        target: What follows each of them, of the same shape.

    Raises:
        ValueError: if the shapes differ, or are empty.

    Example:
        >>> sample_floor(torch.tensor([0, 0, 5]), torch.tensor([1, 1, 2]))  # no doubt is left
        0.0
    """
    if tokens.shape != target.shape or tokens.numel() == 0:
        raise ValueError(
            "tokens and target must be of one shape and not empty, "
            f"got {tuple(tokens.shape)} and {tuple(target.shape)}"
        )
    pairs, counts = torch.stack([tokens.flatten(), target.flatten()]).unique(
        dim=1, return_counts=True
    )
    seen = torch.zeros(int(tokens.max()) + 1).double().index_add_(0, pairs[0], counts.double())
    return float((counts * (seen[pairs[0]] / counts).log()).sum() / tokens.numel())


def _successors() -> Tensor:
    """The weather that follows, by today's weather and the face of the die.  (8, 4)."""
    return torch.tensor([[WEATHER.index(name) for name in RULES[today]] for today in WEATHER])


def _urn() -> Tensor:
    """Sixteen days, as frequent as in the long run.  (16,)."""
    days = [DAYS_OF_16[name] for name in WEATHER]
    return torch.arange(len(WEATHER)).repeat_interleave(torch.tensor(days))

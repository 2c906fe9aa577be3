"""Lost days: some days of a weather diary cannot be read; say what the weather was.

The weather is lesson 00's, a Markov chain: the die that makes a day sees the day before, and
nothing else. But the day *after* a lost one tells about it too. How much can be computed exactly,
by passing messages along the diary, so the task has one floor for who reads both sides and a
higher one for who reads from left to right.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tx_utils._checks import check_positive
from tx_utils.tasks.weather import DAYS_OF_16, WEATHER, Weather

LOST = len(WEATHER)  # the token [MASK]: the day cannot be read
NO_DAY = LOST + 1  # the token [PAD]: the diary has ended
VOCAB_SIZE = NO_DAY + 1
NOT_LOST = -100  # target of a day that nobody is asked for; the loss leaves it out


@dataclass(frozen=True)
class LostDays:
    """Diaries of several lengths, filled up with `NO_DAY`, with some of their days chosen.

    A chosen day is hidden behind `LOST`, or, as BERT does with some, shown as another day or as it
    is. Its weather is asked for in any case, and no other day's.

    Attributes:
        days: The longest diary, T.
        fewest: The shortest; all lengths between are equally likely.
        share: How likely a day is to be chosen.
        shown_wrong: Share of the chosen days that show a weather drawn at random.
        shown_right: Share of them that show what they are.

    Raises:
        ValueError: if the lengths are not in order, or the shares not probabilities.

    Example:
        >>> tokens, target = LostDays(days=5).sample(3, torch.Generator().manual_seed(0))
        >>> tokens.shape, bool(((tokens == LOST) == (target != NOT_LOST)).all())
        (torch.Size([3, 5]), True)
    """

    days: int = 16
    fewest: int = 4
    share: float = 0.15
    shown_wrong: float = 0.0
    shown_right: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no diary can be drawn from."""
        check_positive(days=self.days, fewest=self.fewest)
        if self.fewest > self.days:
            raise ValueError(f"fewest ({self.fewest}) must be at most days ({self.days})")
        shown = self.shown_wrong + self.shown_right
        shares = (self.share, self.shown_wrong, self.shown_right, shown)
        if not (self.share > 0 and all(0 <= share <= 1 for share in shares)):
            raise ValueError(
                "share, shown_wrong, shown_right and the sum of the last two must be "
                f"probabilities, the first above 0, got {shares}"
            )

    def sample(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw diaries.

        Args:
            size: Number of diaries, B.
            generator: Source of the randomness.

        Returns:
            What can be read (B, days), and the target (B, days): the weather of each chosen day,
            `NOT_LOST` elsewhere.
        """
        weather, _ = Weather(self.days).sample(size, generator)
        lengths = torch.randint(self.fewest, self.days + 1, (size, 1), generator=generator)
        is_day = torch.arange(self.days) < lengths
        chosen = is_day & (torch.rand(weather.shape, generator=generator) < self.share)
        tokens = weather.masked_fill(~is_day, NO_DAY)
        tokens = torch.where(chosen, self._shown(weather, generator), tokens)
        return tokens, weather.masked_fill(~chosen, NOT_LOST)

    def _shown(self, weather: Tensor, generator: torch.Generator) -> Tensor:
        """What would be shown of each day if it was chosen."""
        fate = torch.rand(weather.shape, generator=generator)
        other = torch.randint(len(WEATHER), weather.shape, generator=generator)
        shown = torch.where(fate < self.shown_wrong, other, weather)
        return shown.masked_fill(fate >= self.shown_wrong + self.shown_right, LOST)

    def beliefs(self, tokens: Tensor, *, both_sides: bool = True) -> Tensor:
        """How likely each weather is on each day, if that day was a chosen one: Bayes' answer.

        No forecast from the same tokens has a lower expected loss.

        Args:
            tokens: What can be read.                                                (B, T)
            both_sides: False if only the day itself and those before it are read.

        Returns:
            Probabilities in float64.  (B, T, 8)

        Raises:
            ValueError: if a token is none of this task's.
        """
        if not ((tokens >= 0) & (tokens < VOCAB_SIZE)).all():
            raise ValueError(
                f"tokens must lie in [0, {VOCAB_SIZE}), got {tokens.unique().tolist()}"
            )
        likelihood, if_chosen = self._likelihoods(tokens)
        before, after = messages(likelihood)
        joint = before * if_chosen * (after if both_sides else 1)
        return joint / joint.sum(dim=-1, keepdim=True)

    def _likelihoods(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """How likely each day shows its token under each weather: any day, and a chosen one."""
        hidden = (tokens >= LOST)[..., None]  # it says nothing about the weather
        same = F.one_hot(tokens.clamp(max=LOST), LOST + 1)[..., :LOST].double()
        if_chosen = self.shown_right * same + self.shown_wrong / len(WEATHER)
        likelihood = (1 - self.share) * same + self.share * if_chosen
        if not self.shown_right + self.shown_wrong:  # what can be read was not chosen, and is so
            if_chosen = same
        return likelihood.masked_fill(hidden, 1.0), if_chosen.masked_fill(hidden, 1.0)

    def floor(self, *, both_sides: bool = True) -> float:
        """Least expected loss in nats per lost day, of any model that reads one side, or both.

        The entropy of a day given the nearest days that can be read: the chain's earlier past and
        later future add nothing. The mean over all lengths, days, and distances to these two.

        Raises:
            ValueError: if chosen days may be shown: then it has no such simple form.
        """
        if self.shown_right or self.shown_wrong:
            raise ValueError("the floor is known only if every chosen day is hidden")
        total, count = 0.0, 0
        for length in range(self.fewest, self.days + 1):
            for day in range(length):
                count += 1
                for left, p_left in self._distances(day):
                    if not both_sides:
                        total += p_left * _entropy_between(left, None)
                        continue
                    for right, p_right in self._distances(length - 1 - day):
                        total += p_left * p_right * _entropy_between(left, right)
        return total / count

    def _distances(self, days: int) -> list[tuple[int | None, float]]:
        """How far away the nearest day is that can be read, of so many on one side; or None."""
        near = [(n, self.share ** (n - 1) * (1 - self.share)) for n in range(1, days + 1)]
        return [*near, (None, self.share**days)]


def messages(likelihood: Tensor) -> tuple[Tensor, Tensor]:
    """Pass along the chain what the days before, and the days after, say about each day.

    The forward-backward algorithm: two walks along the diary instead of a sum over 8**T diaries.
    Source: Rabiner (1989), section III.A; each message is scaled to sum to 1.

    Args:
        likelihood: How likely what is seen of each day is, under each weather.  (B, T, 8)

    Returns:
        Probabilities of each day's weather from all days before it, (B, T, 8), and how likely all
        that comes after it is, up to a factor, under each weather, (B, T, 8). The day itself is in
        neither.

    Example:
        >>> nothing_seen = torch.ones(1, 2, 8, dtype=torch.float64)
        >>> before, after = messages(nothing_seen)
        >>> (16 * before[0, 1]).tolist(), (8 * after[0, 0]).tolist()
        ([4.0, 4.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """
    rules, shares = _chain()
    before, after = [shares.expand_as(likelihood[:, 0])], [torch.ones_like(likelihood[:, 0]) / 8]
    for seen in likelihood.unbind(dim=1)[:-1]:
        before.append(_scaled((before[-1] * seen) @ rules))
    for seen in likelihood.flip(1).unbind(dim=1)[:-1]:
        after.append(_scaled((after[-1] * seen) @ rules.T))
    return torch.stack(before, dim=1), torch.stack(after[::-1], dim=1)


def _scaled(message: Tensor) -> Tensor:
    return message / message.sum(dim=-1, keepdim=True)


def _chain() -> tuple[Tensor, Tensor]:
    """The rules (8, 8), row today, and the shares of the weather in the long run (8)."""
    shares = torch.tensor([DAYS_OF_16[name] / 16 for name in WEATHER], dtype=torch.float64)
    return Weather().probabilities.double(), shares


def _entropy_between(left: int | None, right: int | None) -> float:
    """Entropy in nats of a day, given those so many days before and after it; None: not given."""
    rules, shares = _chain()
    power = torch.linalg.matrix_power
    to_day = shares[None] if left is None else shares[:, None] * power(rules, left)
    onward = torch.ones(8, 1).double() if right is None else power(rules, right)
    joint = to_day[:, :, None] * onward  # (day before, day, day after)
    ends = joint.sum(dim=1)
    return float(torch.xlogy(ends, ends).sum() - torch.xlogy(joint, joint).sum())

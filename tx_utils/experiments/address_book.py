"""Lesson 01's experiment: the address book with attention, and with one thing taken out.

Four models share everything but the layer in the middle, where tokens may exchange information:
query, key and value attention; the same with uniform weights; the same with the query also
serving as key; and a network that works on each token alone.
"""

from dataclasses import asdict, dataclass

from torch import Tensor, nn

from tx_utils.attention import scaled_dot_product_attention
from tx_utils.experiments.evidence import Experiment, Result
from tx_utils.experiments.recipe import Recipe, fit, measure
from tx_utils.tasks import AddressBook
from tx_utils.training import History, seed_everything

TASK = AddressBook()


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """What lesson 01's training runs have in common."""

    d_model: int = 32


SETTINGS = Settings(batch_size=64, batches_per_epoch=20, epochs=30, learning_rate=3e-3)


class SelfAttention(nn.Module):
    """One attention head: three projections, then the formula.

    Args:
        d_model: Width of a token's vector, in and out.
        d_head: Width of queries and keys; d_model if None.
    """

    def __init__(self, d_model: int, d_head: int | None = None) -> None:
        super().__init__()
        self.query_proj = nn.Linear(d_model, d_head or d_model, bias=False)
        self.key_proj = nn.Linear(d_model, d_head or d_model, bias=False)
        self.value_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model)."""
        return self.attend(x)[0]

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output (B, T, d_model) and the weights (B, T, T)."""
        return scaled_dot_product_attention(
            self.query_proj(x), self.key_proj(x), self.value_proj(x)
        )


class TiedAttention(SelfAttention):
    """Attention whose keys are its queries: what I look for is what I offer."""

    def __init__(self, d_model: int) -> None:
        super().__init__(d_model)
        self.key_proj = self.query_proj


class UniformAttention(nn.Module):
    """Attention that looks at everybody alike: the mean of the values, for every token."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.value_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model)."""
        return self.value_proj(x).mean(dim=1, keepdim=True).expand_as(x)


class Alone(nn.Sequential):
    """A network of two layers that works on each token alone."""

    def __init__(self, d_model: int) -> None:
        super().__init__(
            nn.Linear(d_model, 2 * d_model), nn.ReLU(), nn.Linear(2 * d_model, d_model)
        )


class AddressBookModel(nn.Module):
    """Embed a token's three fields, let the tokens talk, read off a number.

    Args:
        mixer: The layer in the middle.  (B, T, d_model) -> (B, T, d_model)
        d_model: Width of a token's vector.
        task: Says how many names and numbers there are.
    """

    def __init__(self, mixer: nn.Module, d_model: int, task: AddressBook = TASK) -> None:
        super().__init__()
        self.own_name = nn.Embedding(task.num_names, d_model)
        self.own_number = nn.Embedding(task.num_numbers, d_model)
        self.friend_name = nn.Embedding(task.num_names, d_model)
        self.mixer = mixer
        self.readout = nn.Linear(d_model, task.num_numbers)

    def embed(self, tokens: Tensor) -> Tensor:
        """Sum the vectors of the three fields.  (B, T, 3) -> (B, T, d_model)."""
        name, number, friend = tokens.unbind(dim=-1)
        return self.own_name(name) + self.own_number(number) + self.friend_name(friend)

    def forward(self, tokens: Tensor) -> Tensor:
        """Score every number as each person's answer.  (B, T, 3) -> (B, T, num_numbers)."""
        return self.readout(self.mixer(self.embed(tokens)))


MIXERS: dict[str, type[nn.Module]] = {
    "attention": SelfAttention,
    "uniform": UniformAttention,
    "alone": Alone,
    "tied": TiedAttention,
}


def run(variant: str, seed: int) -> tuple[AddressBookModel, History, Result]:
    """Train one variant from one seed, exactly as the lesson does in the open."""
    seed_everything(seed)
    model = AddressBookModel(MIXERS[variant](SETTINGS.d_model), SETTINGS.d_model)
    history = fit(model, TASK.sample, SETTINGS, seed, label=variant)
    return model, history, measure(model, TASK.sample, SETTINGS, history)


EXPERIMENT = Experiment(
    name="address_book",
    settings={**asdict(SETTINGS), "task": asdict(TASK)},
    floors={"uniform": TASK.uniform_floor, "alone": TASK.alone_floor},
    variants=tuple(MIXERS),
    run=lambda variant, seed: run(variant, seed)[2],
)

"""The model that lessons 02 and 04 share: a question looks into a directory by cross-attention.

Queries come from the question, keys from the entries' names, values from what the entries hold.
Here keys never see what is held (two subclasses lift that), and no residual leads around the
attention: all that the answer is made of comes through its weights.
"""

from torch import Tensor, nn

from tx_utils.attention import MultiHeadAttention


class DirectoryModel(nn.Module):
    """Ask a directory for two people at once, and answer from what comes back.

    Args:
        held: Embeds what an entry holds.  (B, T) -> (B, T, d_model)
        num_names: Number of names.
        num_outputs: Width of the answer.
        d_model: Width of every vector.
        num_heads: Attention heads.
        after: A layer between attention and the answer; none if None.
    """

    def __init__(
        self,
        held: nn.Module,
        num_names: int,
        num_outputs: int,
        *,
        d_model: int,
        num_heads: int,
        after: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.first = nn.Embedding(num_names, d_model)
        self.second = nn.Embedding(num_names, d_model)
        self.name = nn.Embedding(num_names, d_model)
        self.held = held
        self.attention = MultiHeadAttention(d_model, num_heads)
        self.after = after or nn.Identity()
        self.readout = nn.Linear(d_model, num_outputs)

    def question(self, asked: Tensor) -> Tensor:
        """One query for both names.  (B, 2) -> (B, 1, d_model)."""
        first, second = asked.unbind(dim=-1)
        return (self.first(first) + self.second(second))[:, None]

    def forward(self, asked: Tensor, names: Tensor, held: Tensor) -> Tensor:
        """Answer.  (B, 2), (B, T), (B, T) -> (B, num_outputs)."""
        found = self.attention(self.question(asked), self.name(names), self.held(held))
        return self.readout(self.after(found)).squeeze(1)

    def weights(self, asked: Tensor, names: Tensor) -> Tensor:
        """Where each head looks.  (B, 2), (B, T) -> (B, H, 1, T)."""
        return self.attention.weights(self.question(asked), self.name(names))

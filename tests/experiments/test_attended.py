"""Attended patches: whose attention is shown, which patches are chosen, and what hiding does."""

import pytest
import torch
from torch import Tensor, nn

import parity
from tx_utils import ViT, ViTConfig, record_attention, split_patches
from tx_utils.experiments.attended import (
    WHICH,
    accuracy_hidden,
    choose_patches,
    class_attention,
    hide_patches,
    ranked,
)

SIZE, PATCH, T, B = 6, 2, 9, 5


def model() -> ViT:
    return parity.randomize(ViT(ViTConfig(SIZE, PATCH, 3, 8, 2, 2, 12))).float()


def images(count: int = B) -> Tensor:
    return torch.rand(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


class Inner(nn.Module):
    """A model that holds a ViT and shows it other images."""

    def __init__(self) -> None:
        super().__init__()
        self.model = model()

    def forward(self, pictures: Tensor) -> Tensor:
        return self.model(pictures.flip(-1))


# Oracle


def test_attention_is_the_class_tokens_in_the_last_layer_as_the_mean_of_the_heads() -> None:
    reader = model()
    with record_attention(reader) as maps:
        reader(images())
    weights = maps["encoder.layers.1.self_attention"]
    expected = torch.zeros(B, T)
    for head in range(2):
        for patch in range(T):
            expected[:, patch] += weights[:, head, 0, 1 + patch] / 2
    torch.testing.assert_close(class_attention(reader, images()), expected)


def test_a_model_within_a_model_is_seen_as_it_is_called() -> None:
    torch.testing.assert_close(
        class_attention(Inner(), images()), class_attention(model(), images().flip(-1))
    )


def test_hidden_patches_show_the_filling_and_all_others_stay() -> None:
    hidden = torch.rand(B, T, generator=torch.Generator().manual_seed(1)) < 0.5
    filling = torch.rand(1, SIZE, SIZE)
    patches = split_patches(hide_patches(images(), hidden, filling), PATCH)
    before, filled = split_patches(images(), PATCH), split_patches(filling[None], PATCH)
    assert torch.equal(patches[~hidden], before[~hidden])
    assert torch.equal(patches[hidden], filled.expand_as(patches)[hidden])


def test_the_highest_scores_are_ranked_first() -> None:
    scores = torch.rand(B, T, generator=torch.Generator().manual_seed(2))
    for count in (1, 4, T):
        chosen = ranked(scores, count)
        assert chosen.sum(dim=1).tolist() == [count] * B
        for row, mask in zip(scores, chosen, strict=True):
            assert set(row[mask].tolist()) == set(row.sort(descending=True).values[:count].tolist())


def test_patches_are_chosen_by_attention_by_darkness_or_by_lot() -> None:
    reader = model()
    chosen = choose_patches(reader, images(), 2, torch.Generator().manual_seed(0))
    attention = class_attention(reader, images())
    darkness = split_patches(images(), PATCH).mean(dim=-1)
    assert tuple(chosen) == WHICH
    assert torch.equal(chosen["most attended"], ranked(attention, 2))
    assert torch.equal(chosen["least attended"], ranked(-attention, 2))
    assert torch.equal(chosen["darkest"], ranked(darkness, 2))
    shifted = [ranked(attention, 2)[(n - B // 2) % B] for n in range(B)]
    assert torch.equal(chosen["another picture's"], torch.stack(shifted))
    same = chosen["most attended on average"]
    assert torch.equal(same, ranked(attention.mean(dim=0, keepdim=True), 2).expand(B, -1))
    assert not torch.equal(same, chosen["most attended"])
    assert not (chosen["most attended"] & chosen["least attended"]).any()
    lots = [
        choose_patches(reader, images(400), 2, torch.Generator().manual_seed(seed))["random"]
        for seed in (0, 0, 1)
    ]
    assert torch.equal(lots[0], lots[1])
    assert not torch.equal(lots[0], lots[2])
    assert (lots[0].float().mean(dim=0) - 2 / T).abs().max() < 5 * (2 / T * 7 / T / 400) ** 0.5


class NamesDarkestPatch(nn.Module):
    """Says which patch is the darkest; needs a ViT inside only to be looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.vit = model()

    def forward(self, pictures: Tensor) -> Tensor:
        self.vit(pictures)
        return split_patches(pictures, PATCH).mean(dim=-1)


def test_accuracy_falls_to_0_when_what_the_answer_hangs_on_is_hidden() -> None:
    reader, pictures = NamesDarkestPatch(), images(40)
    labels = reader(pictures).argmax(dim=-1)
    white = torch.zeros(1, SIZE, SIZE)
    shares = accuracy_hidden(reader, pictures, labels, white, 3, torch.Generator().manual_seed(0))
    chosen = choose_patches(reader, pictures, 3, torch.Generator().manual_seed(0))
    assert shares["darkest"] == 0
    for name, hidden in chosen.items():
        left = ~hidden[torch.arange(40), labels]
        assert shares[name] == pytest.approx(left.float().mean().item())


# Property


def test_looking_changes_neither_mode_nor_gradients() -> None:
    reader = model().train()
    weights = class_attention(reader, images())
    assert reader.training
    assert not weights.requires_grad
    sums = weights.sum(dim=1)
    assert ((sums > 0) & (sums < 1)).all()  # the rest goes to [CLS] itself


def test_nothing_hidden_changes_nothing() -> None:
    nothing, filling = torch.zeros(B, T, dtype=torch.bool), torch.ones(1, SIZE, SIZE)
    assert torch.equal(hide_patches(images(), nothing, filling), images())
    assert (hide_patches(images(), ~nothing, filling) == 1).all()

"""Lesson 07's models: each lacks the part that it is named after, and nothing else."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils import Transformer
from tx_utils.experiments.translation import (
    MODELS,
    SETTINGS,
    Blind,
    NoPositions,
    NoSourceMask,
    build,
)
from tx_utils.tasks.translation import collate
from tx_utils.tasks.vocabulary import PAD

NUMBERS = [123_456, 45, 6_045]
SOURCE, DECODER_INPUT, LABELS = collate(SETTINGS.task.pairs(NUMBERS))


def model(variant: str) -> Transformer:
    torch.manual_seed(0)
    return build(variant).eval()


def scores(variant: str, source: Tensor = SOURCE, target: Tensor = DECODER_INPUT) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(variant)(source, target)
    return logits


def moved(variant: str, source: Tensor) -> Tensor:
    """How far the scores of each row move when its source is that one."""
    return (scores(variant, source) - scores(variant)).abs().flatten(1).amax(dim=1)


# Oracle


def test_each_variant_is_its_model() -> None:
    kinds = {variant: type(build(variant)) for variant in MODELS}
    assert kinds.pop("no cross-attention") is Blind
    assert kinds.pop("no positions") is NoPositions
    assert kinds.pop("no source mask") is NoSourceMask
    assert set(kinds.values()) == {Transformer}
    for variant in MODELS:
        assert build(variant).config == SETTINGS.config


# Property


@pytest.mark.parametrize("variant", MODELS)
def test_all_variants_start_from_the_same_weights(variant: str) -> None:
    whole, other = model("transformer").state_dict(), model(variant).state_dict()
    assert whole.keys() == other.keys()
    assert all(torch.equal(whole[name], other[name]) for name in whole)


def test_without_cross_attention_the_source_changes_nothing() -> None:
    other, _, _ = collate(SETTINGS.task.pairs([7, 999_999, 20_000]))
    for source in (other, SOURCE.roll(1, dims=0), SOURCE[:, :3], F.pad(SOURCE, (0, 9))):
        torch.testing.assert_close(
            scores("no cross-attention", source), scores("no cross-attention")
        )
    assert moved("transformer", other).min() > 1e-2
    assert moved("no positions", other).min() > 1e-2


def test_without_cross_attention_the_target_still_counts() -> None:
    changed = DECODER_INPUT.clone()
    changed[:, 1] = 5
    before, after = scores("no cross-attention"), scores("no cross-attention", target=changed)
    torch.testing.assert_close(before[:, 0], after[:, 0])
    assert (before[:, 1] - after[:, 1]).abs().amax(dim=-1).min() > 1e-3


def test_without_positions_the_order_of_the_source_changes_nothing() -> None:
    order = [2, 0, 1]  # of the first words; "forty five <end>" is three tokens
    turned = torch.cat([SOURCE[:, order], SOURCE[:, 3:]], dim=1)
    assert (turned != SOURCE).any(dim=1).all()
    assert moved("no positions", turned).max() < 1e-5
    for variant in ("transformer", "no source mask"):
        assert moved(variant, turned).min() > 1e-2


def test_without_positions_the_target_has_none_either() -> None:
    """Behind the causal mask the last position sees a bag of words."""
    turned = DECODER_INPUT[:, [0, 2, 1]]
    for variant, far in (("no positions", False), ("transformer", True)):
        before = scores(variant, target=torch.cat([DECODER_INPUT[:, :3], LABELS[:, :1]], 1))
        after = scores(variant, target=torch.cat([turned, LABELS[:, :1]], 1))
        assert ((before - after)[0, -1].abs().max() > 1e-3) == far


def test_without_positions_dropout_is_still_there() -> None:
    (dropout,) = [part for name, part in model("no positions").named_modules() if "positi" in name]
    assert isinstance(dropout, nn.Dropout)
    assert dropout.p == SETTINGS.dropout > 0


def test_only_without_the_source_mask_padding_changes_what_is_written() -> None:
    padded = F.pad(SOURCE, (0, 7), value=PAD)
    assert moved("no source mask", padded).min() > 1e-2
    for variant in ("transformer", "no positions", "no cross-attention"):
        torch.testing.assert_close(scores(variant, padded), scores(variant))
    full = SOURCE[:1]  # the longest source has no padding, so nothing is missing
    assert (full != PAD).all()
    torch.testing.assert_close(
        scores("no source mask", full, DECODER_INPUT[:1]),
        scores("transformer", full, DECODER_INPUT[:1]),
    )

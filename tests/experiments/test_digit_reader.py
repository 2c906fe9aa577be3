"""The digit reader: the model and the training that its settings ask for, and no others."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils import ViT, evaluate, split_patches
from tx_utils.experiments.digit_reader import DigitReader, Scrambled, pictures
from tx_utils.tasks.digits import Augmentation, DigitSampler, load_digits, split_digits
from tx_utils.tasks.sampling import fresh_loader
from tx_utils.training import TokenCrossEntropy

TINY = DigitReader(
    d_model=6, num_heads=2, num_layers=1, d_ff=5, batch_size=3, batches_per_epoch=2, epochs=3,
    learning_rate=1e-2, weight_decay=0.5, warmup_steps=2, patch_size=4,
)  # fmt: skip
DIGITS = load_digits()


def built(settings: DigitReader, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return settings.model()


# Oracle


def test_the_sizes_are_the_settings() -> None:
    config = TINY.config
    assert (config.image_size, config.num_classes, config.channels) == (8, 10, 1)
    assert (config.patch_size, config.num_patches) == (4, 4)
    assert (config.d_model, config.num_heads, config.num_layers, config.d_ff) == (6, 2, 1, 5)
    assert config.dropout == 0
    model = built(TINY)
    assert isinstance(model, ViT)
    assert model.config == config


def test_training_is_the_plain_loop() -> None:
    """AdamW on fresh batches; in the end, the weights of the best epoch."""
    model = built(TINY)
    history = TINY.fit(model, 7)
    split, plain = split_digits(7), built(TINY)
    order = torch.randperm(len(split.train), generator=torch.Generator().manual_seed(7))
    train = split.train[order]
    sampler = DigitSampler(DIGITS.images[train], DIGITS.labels[train], Augmentation())
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=0.5)
    losses: list[float] = []
    validation, weights = [], []
    for epoch in range(3):
        loader = fresh_loader(sampler.sample, batch_size=3, batches=2, seed=7)
        loader.dataset.set_epoch(epoch)  # type: ignore[attr-defined]
        for images, labels in loader:
            optimizer.param_groups[0]["lr"] = history.learning_rate[len(losses)]
            optimizer.zero_grad()
            loss = F.cross_entropy(plain(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        scores = evaluate(plain, [pictures(DIGITS, split.validation)], TokenCrossEntropy())
        validation.append(scores["loss"])
        weights.append({name: value.clone() for name, value in plain.state_dict().items()})
    assert history.step_loss == losses
    assert history.validation_loss == pytest.approx(validation)
    assert len(history.metrics["accuracy"]) == 3
    best = weights[validation.index(min(validation))]
    assert all(torch.equal(value, best[name]) for name, value in model.state_dict().items())


def test_the_rate_rises_to_its_peak_then_falls_along_half_a_cosine() -> None:
    rates = TINY.fit(built(TINY), 7).learning_rate
    falls = [0.02 + 0.98 * (1 + math.cos(math.pi * n / 4)) / 2 for n in range(1, 5)]
    assert rates == pytest.approx([0.5e-2, 1e-2, *(1e-2 * factor for factor in falls)])


def test_scrambled_pixels_are_the_same_pixels_in_one_other_order() -> None:
    images = torch.arange(128.0).view(2, 1, 8, 8)
    seen = Scrambled(nn.Identity())(images)
    assert seen.shape == images.shape
    assert seen[0].flatten().sort().values.tolist() == [*range(64)]
    assert torch.equal(seen[1], seen[0] + 64)  # one order for all
    assert not torch.equal(seen, images)
    torch.manual_seed(5)
    assert torch.equal(Scrambled(nn.Identity())(images), seen)  # and in every run


# Property


def test_variants_start_with_the_same_weights() -> None:
    whole = built(TINY).state_dict()
    orderless = built(replace(TINY, positions=False)).state_dict()
    scrambled = built(replace(TINY, pixels_scrambled=True)).state_dict()
    assert whole.keys() - orderless.keys() == {"positions.weight"}
    for name, value in whole.items():
        assert name == "positions.weight" or torch.equal(value, orderless[name])
        assert torch.equal(value, scrambled[f"model.{name}"])


def test_without_positions_the_order_of_the_patches_changes_nothing() -> None:
    images = DIGITS.images[:5]
    turned = torch.cat([images[..., 4:], images[..., :4]], dim=-1)  # halves change places
    assert not torch.equal(split_patches(images, 4), split_patches(turned, 4))
    orderless, whole = built(replace(TINY, positions=False)), built(TINY)
    torch.testing.assert_close(orderless(images), orderless(turned))
    assert not torch.allclose(whole(images), whole(turned))


@pytest.mark.parametrize("by_sheet", [True, False])
def test_fewer_training_pictures_are_some_of_the_others(by_sheet: bool) -> None:
    settings = replace(TINY, by_sheet=by_sheet)
    whole, few, more = (replace(settings, train_size=n).split(3) for n in (None, 20, 50))
    expected = split_digits(3, by_sheet=by_sheet)
    for split in (whole, few, more):
        assert torch.equal(split.validation, expected.validation)
        assert torch.equal(split.test, expected.test)
    assert torch.equal(whole.train.sort().values, expected.train)
    assert torch.equal(few.train, whole.train[:20])
    assert torch.equal(more.train, whole.train[:50])
    assert len(set(DIGITS.sheets[few.train].tolist())) > 4  # not the first sheet alone


def test_training_hangs_on_its_seed_and_on_its_changes_of_pictures() -> None:
    losses = [TINY.fit(built(TINY), seed).step_loss for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
    still = replace(TINY, augmentation=None)
    assert still.fit(built(still), 0).step_loss != losses[0]


def test_pictures_are_those_at_the_places() -> None:
    places = torch.tensor([5, 0, 1796])
    images, labels = pictures(DIGITS, places)
    assert labels.tolist() == [5, 0, 8]
    for image, place in zip(images, places.tolist(), strict=True):
        assert torch.equal(image, DIGITS.images[place])


# Learning


def test_a_small_reader_learns_more_than_half_of_the_digits() -> None:
    settings = replace(
        TINY, d_model=16, d_ff=32, batch_size=64, batches_per_epoch=40, weight_decay=0.1
    )
    history = settings.fit(built(settings), 0, label="a label")
    assert max(history.metrics["accuracy"]) > 0.5


def gradient_sizes(model: nn.Module, images: Tensor, labels: Tensor) -> list[float]:
    F.cross_entropy(model(images), labels).backward()
    return [p.grad.abs().max().item() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("pixels_scrambled", [True, False])
def test_a_gradient_reaches_every_parameter(pixels_scrambled: bool) -> None:
    model = built(replace(TINY, pixels_scrambled=pixels_scrambled))
    sizes = gradient_sizes(model, *pictures(DIGITS, torch.arange(20)))
    assert len(sizes) == len(list(model.parameters()))
    key_biases = sum("key_proj.bias" in name for name, _ in model.named_parameters())
    assert sum(size < 1e-7 for size in sizes) <= key_biases

"""The two models of lesson 06: alike but for the mask; and what is measured of them."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tx_utils import GPT, TokenAccuracy, causal_mask
from tx_utils.experiments import sorting
from tx_utils.experiments.recipe import fit
from tx_utils.experiments.sorting import (
    EXPERIMENT,
    MODELS,
    SETTINGS,
    TASK,
    AnswerAccuracy,
    NoMask,
    build,
    check,
    complete,
    next_token_mass,
)
from tx_utils.tasks.sampling import Sample
from tx_utils.training import History

B, T = 3, 12


class Rule(nn.Module):
    """A stand-in for a model: scores 1 what a rule names as the next token, all else 0."""

    def __init__(self, rule: Callable[[list[int]], int]) -> None:
        super().__init__()
        self.rule = rule
        self.inputs: list[Tensor] = []

    def forward(self, tokens: Tensor) -> Tensor:
        self.inputs.append(tokens)
        named = [[self.rule(row[: end + 1]) for end in range(len(row))] for row in tokens.tolist()]
        return F.one_hot(torch.tensor(named), TASK.vocab_size).float()


def honest(prefix: list[int]) -> int:
    """What follows in the task; a 0 where nobody can know."""
    if len(prefix) < TASK.length:
        return 0
    if len(prefix) == TASK.length:
        return TASK.separator
    return sorted(prefix[: TASK.length])[len(prefix) - TASK.length - 1]


def forgetful(prefix: list[int]) -> int:
    """Right behind the true tokens only: it needs to see a true answer token to name the next."""
    if len(prefix) == TASK.length + 1:
        return 0  # for the first answer token: always a 0
    if len(prefix) > TASK.length + 1 and prefix[TASK.length + 1] != min(prefix[: TASK.length]):
        return TASK.separator  # lost
    return honest(prefix)


def samples(size: int = B, seed: int = 0) -> tuple[Tensor, Tensor]:
    return TASK.sample(size, torch.Generator().manual_seed(seed))


def model(variant: str) -> GPT:
    torch.manual_seed(0)
    return build(variant)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(
        SETTINGS,
        d_model=6,
        d_ff=5,
        batch_size=3,
        batches_per_epoch=2,
        epochs=4,
        check_every=2,
        prompts=5,
        test_size=7,
    )
    monkeypatch.setattr(sorting, "SETTINGS", small)


# Oracle


def test_without_the_mask_the_stack_runs_under_none() -> None:
    cheater, (tokens, _) = model("no mask"), samples()
    x = cheater.positions(cheater.embedding(tokens))
    everything = torch.ones(T, T, dtype=torch.bool)
    for mask in (None, everything):
        expected = cheater.output_proj(cheater.encoder(x, mask))
        torch.testing.assert_close(cheater(tokens), expected)
    honest_model = model("mask")
    masked = cheater.output_proj(cheater.encoder(x, causal_mask(T)))
    torch.testing.assert_close(honest_model(tokens), masked)


def test_writing_on_takes_the_token_that_scores_highest() -> None:
    prompts = samples()[0][:, : TASK.length + 1]
    gpt = model("mask")
    expected = prompts.clone()
    for _ in range(TASK.length):
        scores = gpt(expected)[:, -1]
        best = [max(range(TASK.vocab_size), key=row.__getitem__) for row in scores.tolist()]
        expected = torch.cat([expected, torch.tensor(best)[:, None]], dim=1)
    written = complete(gpt, prompts, TASK.length)
    assert torch.equal(written, expected)
    assert written.shape == (B, T + 1)
    assert torch.equal(complete(gpt, prompts, 0), prompts)


def test_writing_on_sees_nothing_but_what_is_written() -> None:
    rule = Rule(honest)
    tokens, target = samples()
    written = complete(rule, tokens[:, : TASK.length + 1], TASK.length)
    assert torch.equal(written, torch.cat([tokens[:, :1], target], dim=1))
    assert [seen.size(1) for seen in rule.inputs] == list(range(TASK.length + 1, T + 1))
    assert all(torch.equal(seen, written[:, : seen.size(1)]) for seen in rule.inputs)
    assert not complete(model("mask"), tokens, 1).requires_grad


def test_answer_accuracy_counts_the_answer_alone() -> None:
    tokens, target = samples(7)
    logits = torch.randn(7, T, TASK.vocab_size, generator=torch.Generator().manual_seed(0))
    right = [
        int(logits[row, place].argmax()) == int(target[row, place])
        for row in range(7)
        for place in range(TASK.length, T)
    ]
    assert AnswerAccuracy()(logits, target).item() == pytest.approx(sum(right) / len(right))
    assert AnswerAccuracy()(Rule(honest)(tokens), target).item() == 1.0
    assert TokenAccuracy()(Rule(honest)(tokens), target).item() < 1.0


def test_a_check_of_the_perfect_rule_is_perfect() -> None:
    expected = {"teacher-forced": 1.0, "generated tokens": 1.0, "generated answers": 1.0}
    assert check(Rule(honest)) == expected


def test_a_check_tells_generation_from_teacher_forcing() -> None:
    """The rule errs in the first token, and is lost behind an error of its own."""
    generator = torch.Generator().manual_seed(SETTINGS.prompt_seed)
    _, target = TASK.sample(SETTINGS.prompts, generator)
    no_zero = (target[:, TASK.length] != 0).double().mean().item()
    assert 0.3 < no_zero < 0.7  # (9/10)^6 = 0.53
    checked = check(Rule(forgetful))
    assert checked["teacher-forced"] == pytest.approx(1 - no_zero / TASK.length, abs=1e-5)
    assert checked["generated tokens"] == pytest.approx(1 - no_zero, abs=1e-5)
    assert checked["generated answers"] == pytest.approx(1 - no_zero, abs=1e-5)


def test_one_wrong_token_spoils_an_answer() -> None:
    checked = check(Rule(lambda prefix: 0 if len(prefix) == T else honest(prefix)))
    assert checked["generated answers"] < 0.01  # right where the largest digit is a 0
    assert checked["generated tokens"] == pytest.approx(5 / 6, abs=0.01)


def test_mass_on_the_next_token_is_the_mean_of_the_superdiagonal() -> None:
    cheater = model("no mask")
    tokens, _ = TASK.sample(SETTINGS.prompts, torch.Generator().manual_seed(SETTINGS.prompt_seed))
    x = cheater.positions(cheater.embedding(tokens))
    expected = []
    layers: Any = cheater.encoder.layers
    for layer in layers:
        normed = layer.attention_residual.norm(x)
        weights = layer.self_attention.weights(normed, normed)
        assert weights.shape == (SETTINGS.prompts, 2, T, T)
        expected.append(weights[:, :, torch.arange(T - 1), torch.arange(1, T)].mean().item())
        x = layer(x)
    assert next_token_mass(cheater) == pytest.approx(expected)
    assert next_token_mass(model("mask")) == [0.0, 0.0]


# Property


def test_both_variants_start_from_the_same_weights() -> None:
    masked, unmasked = model("mask"), model("no mask")
    assert (type(masked), type(unmasked)) == (GPT, NoMask)
    assert masked.config == unmasked.config
    for ours, theirs in zip(masked.parameters(), unmasked.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("variant", MODELS)
@pytest.mark.parametrize("training", [True, False])
def test_only_without_the_mask_the_future_is_seen(variant: str, training: bool) -> None:
    gpt, (tokens, _) = model(variant).train(training), samples()
    changed = tokens.clone()
    changed[:, 7] = (tokens[:, 7] + 1) % TASK.vocab_size
    before, after = gpt(tokens), gpt(changed)
    assert torch.equal(before[:, :7], after[:, :7]) == (variant == "mask")
    assert not torch.equal(before[:, 7:], after[:, 7:])


@pytest.mark.parametrize("variant", MODELS)
def test_the_model_has_the_sizes_of_the_settings(variant: str) -> None:
    config = model(variant).config
    assert (config.vocab_size, config.max_len, config.activation) == (11, 12, "relu")
    assert (config.d_model, config.num_heads, config.num_layers, config.d_ff) == (64, 2, 2, 256)
    assert (config.dropout, config.norm_first) == (0.0, True)


# Border


def test_without_the_mask_no_cache_can_serve() -> None:
    cheater, (tokens, _) = model("no mask"), samples()
    message = "^without the mask, keys and values change: cache must be None$"
    for cache in (cheater.new_cache(B), cheater.new_cache(1, max_len=1)):
        with pytest.raises(ValueError, match=message):
            cheater(tokens, cache)
        assert cache.length == 0


# Learning


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", MODELS)
def test_a_run_is_the_same_for_its_seed_and_another_for_another(variant: str) -> None:
    trained, history, result = sorting.run(variant, 3)
    torch.rand(7)  # what the caller draws does not matter
    assert EXPERIMENT.run(variant, 3) == result == sorting.run(variant, 3)[2]
    assert EXPERIMENT.run(variant, 4).loss != result.loss
    assert type(trained) is MODELS[variant]
    assert history.step_targets == [3 * T] * 8
    assert history.learning_rate == [3e-3] * 8
    assert (result.curve, result.epoch_end) == (history.train_loss, [2, 4, 6, 8])
    assert result.measures["step"] == [4, 8]
    last = {name: result.measures[name][-1] for name in check(trained)}
    assert last == check(trained)
    assert result.measures["next token"] == next_token_mass(trained)
    bare = NoMask(trained.config)
    bare.load_state_dict(trained.state_dict())
    taken_off = result.measures["generated answers, mask taken off"]
    assert taken_off == check(bare)["generated answers"]
    tokens, target = samples(7, seed=SETTINGS.test_seed)
    logits = trained(tokens)
    assert result.loss == pytest.approx(F.cross_entropy(logits.mT, target).item(), rel=1e-5)
    assert result.accuracy == pytest.approx(AnswerAccuracy()(logits, target).item())


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("variant", MODELS)
def test_the_last_check_is_of_the_same_weights_without_a_mask(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fingerprint(model: nn.Module) -> dict[str, float]:
        return {"generated answers": model(samples()[0]).double().square().sum().item()}

    monkeypatch.setattr(sorting, "check", fingerprint)
    trained, _, result = sorting.run(variant, 3)
    bare = NoMask(trained.config)
    bare.load_state_dict(trained.state_dict())
    taken_off = result.measures["generated answers, mask taken off"]
    assert taken_off == fingerprint(bare)["generated answers"]
    assert (taken_off == result.measures["generated answers"][-1]) == (variant == "no mask")


@pytest.mark.usefixtures("tiny")
def test_both_variants_see_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[type[nn.Module], list[Tensor]] = {GPT: [], NoMask: []}

    def spied(model: nn.Module, sample: Sample, *args: Any, **options: Any) -> History:
        def recorded(size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
            batch = sample(size, generator)
            seen[type(model)].append(batch[0])
            return batch

        return fit(model, recorded, *args, **options)

    monkeypatch.setattr(sorting, "fit", spied)
    for variant in MODELS:
        sorting.run(variant, 3)
    assert len(seen[GPT]) == 8
    assert torch.equal(torch.stack(seen[GPT]), torch.stack(seen[NoMask]))


@pytest.mark.usefixtures("tiny")
def test_checks_on_the_way_leave_training_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    often = sorting.run("mask", 3)[1].step_loss
    monkeypatch.setattr(sorting, "SETTINGS", replace(sorting.SETTINGS, check_every=4))
    assert sorting.run("mask", 3)[1].step_loss == often


def test_experiment_states_all_that_its_numbers_depend_on() -> None:
    assert EXPERIMENT.name == "sorting"
    assert EXPERIMENT.variants == ("mask", "no mask")
    assert EXPERIMENT.settings == asdict(SETTINGS) | {"task": asdict(TASK)}
    assert EXPERIMENT.floors == {"entropy": 5 * math.log(10) / 12}
    assert SETTINGS.epochs % SETTINGS.check_every == 0

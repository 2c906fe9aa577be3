import math
import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import parity
from small_models import (
    CONFIG,
    D_MODEL,
    GPT_CONFIG,
    GPTS,
    IMAGES,
    MAX_LEN,
    SEGMENTS,
    SOURCE,
    TARGET,
    TRANSFORMERS,
    VOCAB,
    AnyConfig,
    Config,
    all_writers,
    both_writers,
    build,
    every_model,
    logits,
    one_of_each,
    output,
    random_model,
    table,
)
from tx_utils import (
    GPT,
    GPTConfig,
    Transformer,
    TransformerConfig,
    causal_mask,
    sinusoidal_encoding,
)

# Oracle


@pytest.mark.parametrize("config", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_transformer_and_gradients_equal_torch(config: TransformerConfig) -> None:
    model = parity.randomize(Transformer(config))
    twin = parity.torch_transformer(model, config)
    ours: list[Tensor] = [model.source_embedding.weight, table(model)]
    ours += [] if config.tie_weights else [model.output_proj.weight]
    theirs = parity.leaves(*ours)  # tied: the last one embeds and projects
    scale = math.sqrt(D_MODEL) if config.scale_embedding else 1.0
    positions = sinusoidal_encoding(MAX_LEN, D_MODEL).double()
    hidden = twin(
        F.embedding(SOURCE, theirs[0]) * scale + positions,
        F.embedding(TARGET, theirs[1]) * scale + positions[:5],
        tgt_mask=~causal_mask(5),
        src_key_padding_mask=SOURCE == 0,
        tgt_key_padding_mask=TARGET == 0,
        memory_key_padding_mask=SOURCE == 0,
    )
    parity.assert_same(model(SOURCE, TARGET), F.linear(hidden, theirs[-1]), ours, theirs)
    parity.assert_same_gradients(model.encoder, twin.encoder)
    parity.assert_same_gradients(model.decoder, twin.decoder)


@pytest.mark.parametrize("config", GPTS.values(), ids=GPTS)
def test_gpt_and_gradients_equal_torch(config: GPTConfig) -> None:
    model = parity.randomize(GPT(config))
    twin = parity.torch_stack(model.encoder, config)
    ours: list[Tensor] = [model.positions.weight, table(model)]
    ours += [] if config.tie_weights else [model.output_proj.weight]
    theirs = parity.leaves(*ours)
    scale = math.sqrt(D_MODEL) if config.scale_embedding else 1.0
    hidden = twin(F.embedding(TARGET, theirs[1]) * scale + theirs[0][:5], mask=~causal_mask(5))
    parity.assert_same(model(TARGET), F.linear(hidden, theirs[-1]), ours, theirs)
    parity.assert_same_gradients(model.encoder, twin)


# Property


@all_writers
@pytest.mark.parametrize("training", [True, False])
def test_the_future_changes_nothing(config: Config, training: bool) -> None:
    model = random_model(config).train(training)
    target = parity.tokens(2, MAX_LEN, VOCAB)
    before = logits(model, target)
    for t in range(MAX_LEN):
        changed = target.clone()
        changed[:, t] = target[:, t] % (VOCAB - 1) + 1
        moved = (logits(model, changed) - before).abs().amax(-1)
        assert moved[:, :t].sum() < 1e-9
        assert moved[:, t:].min() > 1e-6


@pytest.mark.parametrize("config", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_a_padded_batch_equals_its_rows_one_by_one(config: TransformerConfig) -> None:
    model = random_model(config)
    padded = logits(model)
    for row, (source_length, length) in enumerate([(3, 3), (6, 5)]):
        source, target = SOURCE[row : row + 1, :source_length], TARGET[row : row + 1, :length]
        parity.assert_close(logits(model, target, source)[0], padded[row, :length])


def test_the_gpts_padding_lies_in_the_future() -> None:
    model = random_model(GPT_CONFIG)
    parity.assert_close(model(TARGET[:, :3]), model(TARGET)[:, :3])


def test_decoding_takes_from_the_source_its_padding_only() -> None:
    model = parity.randomize(Transformer(CONFIG))
    memory = model.encode(SOURCE)
    assert memory.shape == (2, 7, D_MODEL)
    expected = model(SOURCE, TARGET)
    assert torch.equal(model.decode(TARGET, memory, SOURCE), expected)
    assert torch.equal(model.decode(TARGET, memory, (SOURCE != 0).int()), expected)
    assert not torch.equal(model.decode(TARGET, memory, SOURCE.clamp(min=1)), expected)


class NearSighted(Transformer):
    """Reads no further than the source's first three words."""

    def source_mask(self, source: Tensor) -> Tensor:
        return super().source_mask(source) & (torch.arange(source.size(1)) < 3)


def test_the_source_mask_rules_the_encoder_and_cross_attention() -> None:
    model = parity.randomize(Transformer(CONFIG))
    mask = model.source_mask(SOURCE)
    assert torch.equal(mask, (SOURCE != 0)[:, None, None, :])
    memory = model.encode(SOURCE)
    parity.assert_close(memory, model.encoder(embedded(model, SOURCE), mask))
    near = NearSighted(CONFIG).double()
    near.load_state_dict(model.state_dict())
    first = SOURCE[:, :3]
    parity.assert_close(near.encode(SOURCE)[:, :3], model.encode(first))
    logits_near = near.decode(TARGET, memory, SOURCE)
    parity.assert_close(logits_near, model.decode(TARGET, memory[:, :3], first))
    assert (logits_near - model.decode(TARGET, memory, SOURCE))[1].abs().min() > 1e-6


def embedded(model: Transformer, source: Tensor) -> Tensor:
    return model.positions(model.source_embedding(source))


def test_the_source_has_an_order() -> None:
    order = [3, 0, 4, 1, 2]
    model = parity.randomize(Transformer(CONFIG))
    source = parity.tokens(2, 5, VOCAB - 2)
    assert (model.encode(source[:, order]) - model.encode(source)[:, order]).abs().max() > 1e-3


@one_of_each
def test_nothing_is_edited_in_place_or_stored(config: AnyConfig) -> None:
    model, inputs = random_model(config), (SOURCE, TARGET, SEGMENTS, IMAGES)
    before = [x.clone() for x in inputs]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    output(model).sum().backward()
    assert all(map(torch.equal, inputs, before))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert parity.stray_tensors(model) == []
    assert not any("encoding" in name for name in state)


@one_of_each
def test_a_model_loads_what_another_one_saved(config: AnyConfig) -> None:
    model, fresh = build(config).eval(), build(config).eval()
    assert not torch.equal(output(fresh), output(model))
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(output(fresh), output(model))
    assert fresh.config == config


# Border


def test_a_source_of_padding_alone_stays_finite_and_disturbs_nobody() -> None:
    model = parity.randomize(Transformer(CONFIG))
    source = SOURCE.clone()
    source[0] = 0
    scores = model(source, TARGET)
    parity.assert_close(scores[1], model(SOURCE, TARGET)[1])
    scores.square().sum().backward()
    assert scores.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in parity.gradients(model).values())


def test_a_target_of_padding_alone_stays_finite() -> None:
    model = parity.randomize(Transformer(CONFIG))
    scores = model(SOURCE, torch.zeros_like(TARGET))
    scores.square().sum().backward()
    assert scores.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in parity.gradients(model).values())


@one_of_each
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_models_work_in_other_precisions(config: AnyConfig, dtype: torch.dtype) -> None:
    made = output(build(config).to(dtype))
    assert made.dtype == dtype
    assert made.isfinite().all()


@one_of_each
def test_whatever_a_model_makes_is_made_on_its_device(config: AnyConfig) -> None:
    model = build(config).to("meta")  # it computes shapes, no numbers
    assert output(model).device.type == "meta"


@both_writers
@pytest.mark.parametrize("length", [1, MAX_LEN])
def test_the_shortest_and_the_longest_sequence_fit(config: Config, length: int) -> None:
    ids = torch.ones(2, length, dtype=torch.int32)
    assert logits(build(config), target=ids, source=ids).shape == (2, length, VOCAB)


TOO_LONG = torch.ones(2, MAX_LEN + 1, dtype=torch.int64)
BAD_IDS = [
    (TOO_LONG, "a sequence of length 8 at offset 0 needs 8 positions, but max_len is 7"),
    (TARGET.float(), "token ids must be int64 or int32, got torch.float32"),
    (TARGET > 0, "token ids must be int64 or int32, got torch.bool"),
    (TARGET.to(torch.uint8), "token ids must be int64 or int32, got torch.uint8"),
    (TARGET[0], "tokens must have shape (B, T), got (5,)"),
    (TARGET + 99, "), got 99 to 111"),
    (TARGET - 9, "), got -9 to 3"),
]


@pytest.mark.parametrize(("ids", "message"), BAD_IDS)
def test_ids_out_of_the_ordinary_are_refused(ids: Tensor, message: str) -> None:
    expected = pytest.raises(ValueError, match=f"{re.escape(message)}$")
    with expected:
        Transformer(CONFIG)(ids, TARGET)
    with expected:
        Transformer(CONFIG)(SOURCE, ids)
    with expected:
        GPT(GPT_CONFIG)(ids)


@pytest.mark.parametrize(
    ("memory", "source", "message"),
    [
        ((2, 5, 12), SOURCE, "memory (2, 5, 12) does not belong to source (2, 7)"),
        ((1, 7, 12), SOURCE, "memory (1, 7, 12) does not belong to source (2, 7)"),
        ((2, 7, 11), SOURCE, "memory must have shape (B, T, 12), got (2, 7, 11)"),
        ((2, 7, 12), SOURCE > 0, "token ids must be int64 or int32, got torch.bool"),
        ((2, 7, 12), SOURCE[0], "tokens must have shape (B, T), got (7,)"),
    ],
)
def test_memory_and_source_that_do_not_fit_are_refused(
    memory: tuple[int, ...], source: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Transformer(CONFIG).decode(TARGET, torch.zeros(memory), source)


@every_model
def test_the_stacks_linear_layers_start_with_xaviers_initialisation(config: AnyConfig) -> None:
    for name, module in build(config).named_modules():
        if isinstance(module, nn.Linear) and name not in ("output_proj", "patch_proj"):
            fan_out, fan_in = module.weight.shape
            bound = math.sqrt(6 / (fan_in + fan_out))  # Glorot and Bengio (2010), equation 16
            # Uniform: nearly at the bound with a hundred entries and more, and never beyond it.
            assert 0.9 * bound < module.weight.abs().max() <= bound, name
            assert abs(module.weight.std() / (bound / math.sqrt(3)) - 1) < 0.2, name


def test_source_and_target_come_in_one_batch() -> None:
    with pytest.raises(ValueError, match=r"^source and target must share .*, got 2 and 1$"):
        Transformer(CONFIG)(SOURCE, TARGET[:1])

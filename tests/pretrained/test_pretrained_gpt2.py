from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor

import hugging_face
import parity
from tx_utils import GPT, generate
from tx_utils.pretrained import gpt2
from tx_utils.pretrained.accounting import Account
from tx_utils.pretrained.gpt2 import NAMES
from tx_utils.pretrained.names import with_prefix

H, VOCAB, MAX_LEN = 3, 29, 13
SHAPES: list[dict[str, Any]] = [
    {},
    {"n_head": 5, "n_layer": 1, "n_inner": None},  # None: 4 times the width
    {"vocab_size": 7, "n_positions": 11, "n_embd": 14, "n_head": 2, "n_layer": 3, "n_inner": 5},
    {"vocab_size": 31, "n_positions": 37, "n_embd": 11, "n_head": 11, "n_inner": 3},
    {"n_embd": 19, "n_head": 1, "vocab_size": 19, "n_positions": 19, "n_inner": 19},
]
ACTIVATIONS = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu"}  # ours: theirs


def tokens(theirs: Any, length: int | None = None, *, batch: int = 2) -> Tensor:
    config = theirs.config
    return parity.tokens(batch, length or config.n_positions, config.vocab_size)


def loaded(theirs: Any, **choices: Any) -> GPT:
    return gpt2(theirs.state_dict(), num_heads=theirs.config.n_head, **choices)


# Oracle


@pytest.mark.parametrize("choices", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_logits_equal_hugging_faces(choices: dict[str, Any], dtype: torch.dtype) -> None:
    theirs = hugging_face.gpt2(**choices).to(dtype)
    ids = tokens(theirs)
    logits = loaded(theirs)(ids)
    assert logits.dtype == dtype
    tolerance = 1e-10 if dtype == torch.float64 else 1e-4
    parity.assert_close(logits, theirs(ids).logits, tolerance)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("eps", [1e-12, 1e-5, 0.1])
def test_activation_and_eps_can_be_set(activation: str, eps: float) -> None:
    theirs = hugging_face.gpt2(
        activation_function=ACTIVATIONS[activation], layer_norm_epsilon=eps, seed=1
    )
    ids = tokens(theirs)
    ours = loaded(theirs, activation=activation, norm_eps=eps)
    parity.assert_close(ours(ids), theirs(ids).logits)
    usual = (activation, eps) == ("gelu_tanh", 1e-5)
    assert torch.equal(loaded(theirs)(ids), ours(ids)) == usual


def test_the_defaults_are_those_of_the_published_model() -> None:
    config = hugging_face.transformers("GPT2Config")()
    assert ACTIVATIONS["gelu_tanh"] == config.activation_function
    assert config.layer_norm_epsilon == 1e-5


def test_gradients_equal_hugging_faces() -> None:
    theirs = hugging_face.gpt2()
    ours, ids = loaded(theirs), tokens(theirs)
    weight = parity.tensor(*ids.shape, VOCAB, seed=99)
    (ours(ids) * weight).sum().backward()
    (theirs(ids).logits * weight).sum().backward()
    gradients = Account(hugging_face.gradients(theirs), with_prefix(NAMES, "transformer."))
    gradients.check("GPT-2")
    expected = gradients.parameters()
    found = parity.gradients(ours)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        parity.assert_close(gradient, expected[name].data)


@pytest.mark.parametrize("first", [1, 5, MAX_LEN - 1])
def test_cached_logits_equal_hugging_faces(first: int) -> None:
    theirs = hugging_face.gpt2()
    ours, ids = loaded(theirs), tokens(theirs)
    cache = ours.new_cache(batch_size=2)
    with torch.no_grad():
        pieces = [ours(ids[:, :first], cache)]
        pieces += [ours(ids[:, t : t + 1], cache) for t in range(first, MAX_LEN)]
    parity.assert_close(torch.cat(pieces, 1), theirs(ids).logits)


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_greedy_generation_equals_hugging_faces(seed: int, use_cache: bool) -> None:
    theirs = hugging_face.gpt2(seed=seed)
    prompt = tokens(theirs, 3)
    settings = {"max_new_tokens": MAX_LEN - 3, "do_sample": False}
    expected = theirs.generate(prompt, attention_mask=torch.ones_like(prompt), **settings)
    ours = loaded(theirs)
    written = generate(
        ours, prompt, max_new_tokens=MAX_LEN - 3, temperature=0.0, use_cache=use_cache
    )
    assert torch.equal(written, expected)
    end = int(expected[0, 5])  # now as the token that ends a text
    expected = theirs.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        eos_token_id=end,
        pad_token_id=end,
        **settings,
    )
    written = generate(
        ours,
        prompt,
        max_new_tokens=MAX_LEN - 3,
        temperature=0.0,
        use_cache=use_cache,
        end_id=end,
    )
    assert torch.equal(written, expected)
    assert (written[0, 5:] == end).all()


def test_padding_on_the_right_lies_in_the_future() -> None:
    theirs = hugging_face.gpt2()
    ids, mask = tokens(theirs), torch.ones(2, MAX_LEN, dtype=torch.long)
    mask[0, 7:] = 0
    real = mask.bool()
    expected = theirs(ids, attention_mask=mask).logits
    parity.assert_close(loaded(theirs)(ids)[real], expected[real])


# Names


def test_the_table_has_a_place_for_every_parameter_of_ours() -> None:
    ours = loaded(hugging_face.gpt2(n_layer=1))
    names = [name for entry in NAMES for name in entry.of_layer(0).ours]
    assert len(names) == len(set(names))
    assert set(names) == {name for name, _ in ours.named_parameters()}


def test_a_model_without_head_scores_with_its_embeddings() -> None:
    theirs = hugging_face.gpt2("GPT2Model")
    assert "wte.weight" in theirs.state_dict()
    ids = tokens(theirs)
    ours = loaded(theirs)
    assert ours.config.tie_weights
    parity.assert_close(ours(ids), theirs(ids).last_hidden_state @ theirs.wte.weight.T)


@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_a_head_of_its_own_stays_untied(prefix: str) -> None:
    theirs = hugging_face.gpt2(tie_word_embeddings=False)
    weights = {
        name.replace("transformer.", prefix): tensor for name, tensor in theirs.state_dict().items()
    }
    ours, ids = gpt2(weights, num_heads=H), tokens(theirs)
    assert not ours.config.tie_weights
    assert ours.output_proj.weight is not ours.embedding.weight
    parity.assert_close(ours(ids), theirs(ids).logits)


@pytest.mark.parametrize("with_head", [True, False])
def test_a_tied_head_stays_one_with_the_embeddings(with_head: bool) -> None:
    weights = hugging_face.weights(hugging_face.gpt2())  # clones, so nothing is shared there
    if not with_head:
        del weights["lm_head.weight"]
    ours = gpt2(weights, num_heads=H)
    assert ours.config.tie_weights
    assert ours.output_proj.weight is ours.embedding.weight
    ids = parity.tokens(2, 3, VOCAB)
    ours(ids)[..., 0].sum().backward()
    unread = torch.ones(VOCAB, dtype=torch.bool)
    unread[ids.flatten()] = unread[0] = False
    gradient = ours.embedding.weight.grad
    assert gradient is not None
    assert gradient[0].abs().max() > 1e-3  # token 0 is scored but not read: it is in the head
    assert gradient[unread].abs().max() == 0


TRIANGLE = torch.ones(1, 1, MAX_LEN, MAX_LEN).tril()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bool, torch.uint8])
@pytest.mark.parametrize("low", [-1e4, -1e9, float("-inf")])
def test_the_masks_of_older_files_are_known(dtype: torch.dtype, low: float) -> None:
    theirs = hugging_face.gpt2()
    weights = hugging_face.weights(theirs)
    for layer in range(2):
        weights[f"transformer.h.{layer}.attn.bias"] = TRIANGLE.to(dtype)
        weights[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(low)
    ids = tokens(theirs)
    assert torch.equal(gpt2(weights, num_heads=H)(ids), loaded(theirs)(ids))


# Property


def test_the_sizes_are_read_off_the_tensors() -> None:
    config = loaded(hugging_face.gpt2()).config
    assert asdict(config) == {
        "vocab_size": VOCAB,
        "d_model": 15,
        "num_heads": H,
        "num_layers": 2,
        "d_ff": 17,
        "max_len": MAX_LEN,
        "dropout": 0.0,
        "activation": "gelu_tanh",
        "tie_weights": True,
        "scale_embedding": False,
        "norm_eps": 1e-5,
    }


def test_ten_layers_and_more_keep_their_order() -> None:
    theirs = hugging_face.gpt2(n_layer=12, n_embd=6)
    ids = tokens(theirs)
    ours = gpt2(dict(sorted(theirs.state_dict().items())), num_heads=H)
    parity.assert_close(ours(ids), theirs(ids).logits)


@pytest.mark.parametrize("tie", [True, False])
def test_every_tensor_matters(tie: bool) -> None:
    theirs = hugging_face.gpt2(tie_word_embeddings=tie)
    weights, ids = hugging_face.weights(theirs), tokens(theirs)
    before = loaded(theirs)(ids)
    assert len(weights) == 2 + 2 * 12 + 2 + 1
    for name, tensor in weights.items():
        changed = gpt2({**weights, name: hugging_face.noisy(tensor)}, num_heads=H)
        assert (changed(ids) - before).abs().max() > 1e-6, name


def test_nothing_is_shared_with_what_was_given() -> None:
    theirs = hugging_face.gpt2()
    weights = hugging_face.weights(theirs)
    ours, ids = gpt2(weights, num_heads=H), tokens(theirs)
    before = ours(ids)
    for tensor in weights.values():
        tensor.zero_()
    assert torch.equal(ours(ids), before)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.fill_(1.0)
    assert not any(tensor.any() for tensor in weights.values())


def test_what_was_given_stays_as_it_was() -> None:
    weights = hugging_face.weights(hugging_face.gpt2())
    before = {name: tensor.clone() for name, tensor in weights.items()}
    state = torch.get_rng_state()
    gpt2(weights, num_heads=H)
    assert torch.equal(torch.get_rng_state(), state)
    assert weights.keys() == before.keys()
    assert all(torch.equal(weights[name], before[name]) for name in before)


def test_the_model_is_ready_to_use_and_to_train() -> None:
    theirs = hugging_face.gpt2()
    parameters = dict(theirs.named_parameters())  # they carry gradients; ours have their own
    ours = gpt2(parameters, num_heads=H)
    assert not any(module.training for module in ours.modules())
    ours(tokens(theirs)).square().sum().backward()
    assert parity.gradients(ours).keys() == dict(ours.named_parameters()).keys()
    assert hugging_face.gradients(theirs) == {}
    assert all(p.is_leaf and p.is_contiguous() for p in ours.parameters())
    assert all(p.untyped_storage().nbytes() == p.nbytes for p in ours.parameters())
    assert parity.stray_tensors(ours) == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(dtype: torch.dtype) -> None:
    theirs = hugging_face.gpt2().to(dtype)
    ours, ids = loaded(theirs), tokens(theirs)
    assert {p.dtype for p in ours.parameters()} == {torch.float32}
    assert torch.equal(ours.positions.weight, theirs.transformer.wpe.weight.float())
    parity.assert_close(ours(ids), theirs.float()(ids).logits, 1e-4)


# Learning


def test_fine_tuning_goes_as_hugging_faces_does() -> None:
    theirs = hugging_face.gpt2(attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)
    ours, ids = loaded(theirs), tokens(theirs)
    losses: list[list[float]] = []
    for model in (ours, theirs):
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        losses.append([])
        for _ in range(20):
            output = model(ids[:, :-1])
            logits = output if isinstance(output, Tensor) else output.logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    parity.assert_close(torch.tensor(losses[0]), torch.tensor(losses[1]), 1e-6)
    assert losses[0][-1] < losses[0][0]

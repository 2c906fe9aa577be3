"""What every decoder shares: the next token's scores, and what it refuses."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from decoding import ALPHABET, CONFIG, IDS, MAX_LEN, PAD, START, Scripted, random_model, sources
from torch import Tensor

import parity
from tx_utils import Transformer, beam_search, greedy_decode
from tx_utils.generation.steps import next_log_probs

VOCAB = len(ALPHABET)
SOURCE = sources(3)

both_decoders = pytest.mark.parametrize("decode", [greedy_decode, beam_search])


# Oracle


def test_scores_are_the_models_own_log_probabilities_but_for_the_padding() -> None:
    model = random_model(0)
    target = torch.tensor([[START, 1, 2], [START, 4, PAD], [START, 5, 6]])
    scores = next_log_probs(model, target, model.encode(SOURCE), SOURCE)
    expected = model(SOURCE, target)[:, 2].softmax(dim=-1)
    expected[:, PAD] = 0.0
    assert scores.shape == (3, VOCAB)
    parity.assert_close(scores.exp(), expected)
    assert bool((scores.exp().sum(dim=-1) < 1 - 1e-6).all())  # what padding loses nobody gains


def test_the_logits_of_the_model_are_left_as_they_are() -> None:
    class Keeping(Transformer):
        kept: Tensor

        def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:
            self.kept = super().decode(target, memory, source)
            return self.kept

    model = Keeping(CONFIG)
    next_log_probs(model, torch.full((3, 1), START), model.encode(SOURCE), SOURCE)
    assert model.kept.isfinite().all()


def test_a_sequence_scores_what_the_model_gives_it_padding_included() -> None:
    model = Scripted({"": {"_": 0.5, "a": 0.25, ".": 0.25}, "a": {"_": 0.5, ".": 0.5}})
    _, scores = beam_search(model, SOURCE, **IDS, max_new_tokens=1, beam_width=2)
    parity.assert_close(scores, torch.full((3,), math.log(0.25), dtype=torch.float64))


# Border


@both_decoders
@pytest.mark.parametrize("max_new_tokens", [0, -1, 2.0, True])
def test_lengths_that_are_no_size_are_refused(
    decode: Callable[..., Any], max_new_tokens: Any
) -> None:
    message = f"max_new_tokens must be a positive integer, got {max_new_tokens!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        decode(Transformer(CONFIG), SOURCE, **IDS, max_new_tokens=max_new_tokens)


@both_decoders
def test_lengths_up_to_what_the_model_can_write_are_allowed(decode: Callable[..., Any]) -> None:
    decode(Transformer(CONFIG), SOURCE, **IDS, max_new_tokens=MAX_LEN)
    message = f"max_new_tokens must be at most the model's max_len ({MAX_LEN}), got {MAX_LEN + 1}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        decode(Transformer(CONFIG), SOURCE, **IDS, max_new_tokens=MAX_LEN + 1)


@both_decoders
@pytest.mark.parametrize("name", ["start_id", "end_id"])
@pytest.mark.parametrize("token", [-1, VOCAB, PAD, 1.0, True, "a"])
def test_what_is_no_token_to_start_or_end_with_is_refused(
    decode: Callable[..., Any], name: str, token: Any
) -> None:
    message = (
        f"{name} must be an id of the target vocabulary, in [0, {VOCAB}), "
        f"other than pad_id ({PAD}), got {token!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        decode(Transformer(CONFIG), SOURCE, **{**IDS, name: token}, max_new_tokens=3)


@both_decoders
def test_the_first_and_the_last_id_may_start_and_end(decode: Callable[..., Any]) -> None:
    for start_id, end_id in ((0, VOCAB - 1), (VOCAB - 1, 0)):
        ids = {"start_id": start_id, "end_id": end_id}
        written = decode(Transformer(CONFIG), SOURCE, **ids, max_new_tokens=2)
        tokens = written if isinstance(written, Tensor) else written[0]
        assert len(tokens) == len(SOURCE)


@both_decoders
def test_a_model_that_gives_no_numbers_is_refused(decode: Callable[..., Any]) -> None:
    model = random_model(0)
    torch.nn.init.constant_(model.output_proj.weight, math.nan)
    with pytest.raises(ValueError, match=r"^the model scores tokens with NaN"):
        decode(model, SOURCE, **IDS, max_new_tokens=3)


def test_scores_of_a_coarse_model_are_summed_in_float32() -> None:
    written, scores = beam_search(Transformer(CONFIG).bfloat16(), SOURCE, **IDS, max_new_tokens=3)
    assert scores.dtype == torch.float32
    assert beam_search(random_model(0), SOURCE, **IDS, max_new_tokens=3)[1].dtype == torch.float64
    assert written.dtype == torch.int64

"""What attention refuses: masks and shapes that would silently mean something else."""

import re

import pytest
import torch
from torch import Tensor

from tx_utils import MultiHeadAttention, scaled_dot_product_attention

B, H, T_Q, T_K, D_HEAD = 2, 3, 5, 7, 4
D_MODEL = H * D_HEAD
QUERY, KEY = torch.ones(B, T_Q, D_MODEL), torch.ones(B, T_K, D_MODEL)

# Border


def call(function: str, mask: Tensor) -> None:
    attention = MultiHeadAttention(D_MODEL, H)
    if function == "formula":
        heads = torch.ones(B, H, T_Q, D_HEAD), torch.ones(B, H, T_K, D_HEAD)
        scaled_dot_product_attention(heads[0], heads[1], heads[1], mask)
    elif function == "forward":
        attention(QUERY, KEY, KEY, mask)
    else:
        attention.weights(QUERY, KEY, mask)


@pytest.mark.parametrize("function", ["formula", "forward", "weights"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.int64])
def test_a_mask_that_is_not_boolean_is_refused(function: str, dtype: torch.dtype) -> None:
    message = re.escape(f"mask must be boolean (True = may attend), got {dtype}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        call(function, torch.ones(T_Q, T_K, dtype=dtype))


@pytest.mark.parametrize("function", ["formula", "forward", "weights"])
@pytest.mark.parametrize(
    "shape",
    [(T_K, T_Q), (T_Q, T_K + 1), (B, H + 1, T_Q, T_K), (B + 1, 1, 1, T_K), (H, B, T_Q, T_K)],
)
def test_a_mask_that_does_not_broadcast_is_refused(function: str, shape: tuple[int, ...]) -> None:
    message = f"mask of shape {shape} does not broadcast to the scores' shape {(B, H, T_Q, T_K)}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(function, torch.ones(shape, dtype=torch.bool))


def test_a_mask_larger_than_the_scores_is_refused() -> None:
    message = re.escape(f"mask of shape {(T_Q, T_K)} does not broadcast to the scores' shape")
    with pytest.raises(ValueError, match=f"^{message}"):  # it would repeat the one query
        MultiHeadAttention(D_MODEL, H)(
            QUERY[:, :1], KEY, KEY, torch.ones(T_Q, T_K, dtype=torch.bool)
        )
    with pytest.raises(ValueError, match=r"^mask of shape \(1, 1, 5, 7\) does not broadcast"):
        scaled_dot_product_attention(QUERY, KEY, KEY, torch.ones(1, 1, T_Q, T_K).bool())


@pytest.mark.parametrize("function", ["forward", "weights"])
@pytest.mark.parametrize("shape", [(T_K,), (B, T_Q, T_K), (1, B, H, T_Q, T_K)])
def test_modules_take_masks_of_2_or_4_axes_only(function: str, shape: tuple[int, ...]) -> None:
    message = f"mask must be (T_q, T_k) or 4-D, broadcasting to (B, H, T_q, T_k), got shape {shape}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(function, torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((5, 4), (7, 3), (7, 4)), "key width (3) must equal query width (4)"),
        (((5, 4), (7, 4), (5, 4)), "value length (5) must equal key length (7)"),
        (((2, 5, 4), (2, 7, 3), (2, 7, 4)), "key width (3) must equal query width (4)"),
    ],
)
def test_formula_refuses_shapes_that_do_not_fit(
    shapes: tuple[tuple[int, ...], ...], message: str
) -> None:
    query, key, value = (torch.ones(shape) for shape in shapes)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        scaled_dot_product_attention(query, key, value)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            ((2, 5, 11), (2, 7, 12), (2, 7, 12)),
            "query must have shape (B, T, 12), got (2, 5, 11)",
        ),
        (((2, 5, 12), (7, 12), (2, 7, 12)), "key must have shape (B, T, 12), got (7, 12)"),
        (
            ((2, 5, 12), (2, 7, 12), (1, 2, 7, 12)),
            "value must have shape (B, T, 12), got (1, 2, 7, 12)",
        ),
        (((2, 5, 12), (3, 7, 12), (3, 7, 12)), "got (2, 5, 12), (3, 7, 12) and (3, 7, 12)"),
        (
            ((2, 5, 12), (2, 7, 12), (2, 5, 12)),
            "query, key and value must share one batch size, and key and value one length, "
            "got (2, 5, 12), (2, 7, 12) and (2, 5, 12)",
        ),
    ],
)
def test_module_refuses_shapes_that_do_not_fit(
    shapes: tuple[tuple[int, ...], ...], message: str
) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(message)}$"):
        MultiHeadAttention(D_MODEL, H)(*(torch.ones(shape) for shape in shapes))


@pytest.mark.parametrize(
    ("d_model", "num_heads", "message"),
    [
        (30, 4, "d_model (30) must be divisible by num_heads (4)"),
        (0, 1, "d_model must be a positive integer, got 0"),
        (4, 0, "num_heads must be a positive integer, got 0"),
        (4, -2, "num_heads must be a positive integer, got -2"),
    ],
)
def test_module_refuses_sizes_that_make_no_heads(
    d_model: int, num_heads: int, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        MultiHeadAttention(d_model, num_heads)

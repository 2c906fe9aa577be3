import re
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import pytest

from tx_utils import BERTConfig, GPTConfig, TransformerConfig, ViTConfig

Config = TransformerConfig | GPTConfig | BERTConfig | ViTConfig

TRANSFORMER = TransformerConfig(11, 13, d_model=12, num_heads=3)
GPT = GPTConfig(13, d_model=12, num_heads=3, num_layers=2, d_ff=17, max_len=7)
BERT = BERTConfig(13, d_model=12, num_heads=3, num_layers=2, d_ff=17, max_len=7)
VIT = ViTConfig(10, 5, 7, d_model=12, num_heads=3, num_layers=2, d_ff=17, channels=2)
each = pytest.mark.parametrize(
    "config", [TRANSFORMER, GPT, BERT, VIT], ids=["transformer", "gpt", "bert", "vit"]
)
pre_norm_always = pytest.mark.parametrize("config", [GPT, VIT], ids=["gpt", "vit"])

# Oracle


def test_the_default_is_the_papers_base_model() -> None:
    config = TransformerConfig(37_000, 37_000)  # its table 3, first line
    sizes = (config.num_layers, config.d_model, config.d_ff, config.num_heads, config.dropout)
    assert sizes == (6, 512, 2048, 8, 0.1)
    assert (config.activation, config.norm_first, config.tie_weights) == ("relu", False, True)
    assert (config.scale_embedding, config.norm_eps, config.pad_id) == (True, 1e-5, 0)
    assert config.max_len == 512


def test_a_gpt_defaults_to_todays_choices() -> None:
    choices = (GPT.activation, GPT.tie_weights, GPT.scale_embedding, GPT.dropout, GPT.norm_eps)
    assert choices == ("gelu", True, True, 0.0, 1e-5)
    assert GPT.norm_first


def test_a_bert_defaults_to_the_published_models_choices() -> None:
    """Their config names them: hidden_act, layer_norm_eps and type_vocab_size."""
    assert (BERT.activation, BERT.norm_eps, BERT.num_token_types) == ("gelu", 1e-12, 2)
    assert (BERT.norm_first, BERT.dropout) == (False, 0.0)


def test_a_vit_defaults_to_grey_images() -> None:
    choices = (VIT.activation, VIT.dropout, VIT.norm_eps, VIT.norm_first)
    assert choices == ("gelu", 0.0, 1e-5, True)
    assert ViTConfig(10, 5, 7, d_model=12, num_heads=3, num_layers=2, d_ff=17).channels == 1


@pytest.mark.parametrize(
    ("image", "patch", "count"), [(10, 5, 4), (9, 3, 9), (7, 1, 49), (7, 7, 1)]
)
def test_patches_are_counted(image: int, patch: int, count: int) -> None:
    assert replace(VIT, image_size=image, patch_size=patch).num_patches == count


# Property


@each
def test_a_config_survives_the_way_through_a_dictionary(config: Config) -> None:
    again = type(config)(**asdict(config))
    assert again == config
    assert hash(again) == hash(config)
    assert replace(config, d_ff=19) != config


# Border


@each
def test_a_config_is_frozen(config: Config) -> None:
    with pytest.raises(FrozenInstanceError):
        config.d_model = 24  # type: ignore[misc]


@pre_norm_always
def test_some_are_pre_norm_always(config: Any) -> None:
    with pytest.raises(TypeError, match="norm_first"):
        replace(config, norm_first=False)
    with pytest.raises(AttributeError):
        config.norm_first = False


@each
@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"d_model": 30, "num_heads": 4}, "d_model (30) must be divisible by num_heads (4)"),
        ({"d_model": 0}, "d_model must be a positive integer, got 0"),
        ({"num_heads": -1}, "num_heads must be a positive integer, got -1"),
        ({"num_layers": 0}, "num_layers must be a positive integer, got 0"),
        ({"num_layers": True}, "num_layers must be a positive integer, got True"),
        ({"d_ff": 17.0}, "d_ff must be a positive integer, got 17.0"),
        ({"dropout": 1.0}, "dropout must lie in [0, 1), got 1.0"),
        ({"dropout": -0.1}, "dropout must lie in [0, 1), got -0.1"),
        ({"activation": "swish"}, "activation must be one of relu, gelu, gelu_tanh, got 'swish'"),
        ({"norm_eps": -1e-5}, "norm_eps must be finite and not negative, got -1e-05"),
    ],
)
def test_a_value_out_of_range_is_refused(
    config: Config, choice: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(config, **choice)


@pytest.mark.parametrize(
    ("config", "choice", "message"),
    [
        (GPT, {"vocab_size": 0}, "vocab_size must be a positive integer, got 0"),
        (GPT, {"max_len": 0}, "max_len must be a positive integer, got 0"),
        (TRANSFORMER, {"max_len": 0}, "max_len must be a positive integer, got 0"),
        (BERT, {"max_len": 0}, "max_len must be a positive integer, got 0"),
        (BERT, {"vocab_size": 0}, "vocab_size must be a positive integer, got 0"),
        (BERT, {"num_token_types": 0}, "num_token_types must be a positive integer, got 0"),
        (BERT, {"norm_first": "no"}, "norm_first must be True or False, got 'no'"),
        (VIT, {"image_size": 0}, "image_size must be a positive integer, got 0"),
        (VIT, {"patch_size": 0}, "patch_size must be a positive integer, got 0"),
        (VIT, {"patch_size": 2.5}, "patch_size must be a positive integer, got 2.5"),
        (VIT, {"num_classes": 0}, "num_classes must be a positive integer, got 0"),
        (VIT, {"channels": 0}, "channels must be a positive integer, got 0"),
        (VIT, {"patch_size": 3}, "image_size (10) must be divisible by patch_size (3)"),
        (VIT, {"patch_size": 20}, "image_size (10) must be divisible by patch_size (20)"),
        (
            TRANSFORMER,
            {"source_vocab_size": 0},
            "source_vocab_size must be a positive integer, got 0",
        ),
        (
            TRANSFORMER,
            {"target_vocab_size": 0},
            "target_vocab_size must be a positive integer, got 0",
        ),
        (TRANSFORMER, {"pad_id": -1}, "pad_id must lie in both vocabularies, [0, 11), got -1"),
        (TRANSFORMER, {"pad_id": 11}, "pad_id must lie in both vocabularies, [0, 11), got 11"),
        (
            TRANSFORMER,
            {"pad_id": 7, "target_vocab_size": 7},
            "pad_id must lie in both vocabularies, [0, 7), got 7",
        ),
    ],
)
def test_a_value_of_one_models_own_is_refused(
    config: Config, choice: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        replace(config, **choice)


@each
def test_an_eps_of_zero_is_allowed(config: Config) -> None:
    assert replace(config, norm_eps=0.0).norm_eps == 0.0


def test_the_last_id_of_the_smaller_vocabulary_may_be_the_padding() -> None:
    assert replace(TRANSFORMER, pad_id=10).pad_id == 10


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"pad_id": 0.5}, "pad_id must be an integer, got 0.5"),
        ({"pad_id": True}, "pad_id must be an integer, got True"),
        ({"norm_first": "no"}, "norm_first must be True or False, got 'no'"),
        ({"tie_weights": 1}, "tie_weights must be True or False, got 1"),
        ({"scale_embedding": None}, "scale_embedding must be True or False, got None"),
        ({"norm_eps": float("inf")}, "norm_eps must be finite and not negative, got inf"),
        ({"norm_eps": "1"}, "norm_eps must be finite and not negative, got '1'"),
        ({"dropout": "a"}, "dropout must lie in [0, 1), got 'a'"),
        ({"activation": []}, "activation must be one of relu, gelu, gelu_tanh, got []"),
    ],
)
def test_a_value_of_another_type_is_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TransformerConfig(9, 9, **choice)
    if not {"pad_id", "norm_first"} & set(choice):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            GPTConfig(9, 8, 2, 1, 8, 5, **choice)

"""`import tx_utils` brings every public name, and matplotlib only when something is drawn."""

import subprocess
import sys

import pytest

import tx_utils
from tx_utils import plotting


def test_every_public_name_is_there_and_listed() -> None:
    assert set(tx_utils.__all__) <= set(dir(tx_utils))
    for name in tx_utils.__all__:
        assert getattr(tx_utils, name).__name__ == name


def test_the_plots_are_those_of_the_plotting_package() -> None:
    for name in ("plot_attention", "plot_loss", "plot_mask", "plot_positional_encoding"):
        assert getattr(tx_utils, name) is getattr(plotting, name)
    assert tx_utils.use_style is plotting.use_style


def test_matplotlib_waits_until_something_is_drawn() -> None:
    code = "import sys, tx_utils; assert 'matplotlib' not in sys.modules; tx_utils.plot_loss"
    code += "; assert 'matplotlib' in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'plot_nothing'"):
        tx_utils.plot_nothing  # noqa: B018

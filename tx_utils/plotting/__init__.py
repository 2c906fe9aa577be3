"""Every figure of the series. Each function knows arrays, not models, and returns a figure."""

from tx_utils.plotting.alignment import plot_alignment
from tx_utils.plotting.curves import plot_lines, plot_loss
from tx_utils.plotting.distributions import plot_bars, plot_distributions
from tx_utils.plotting.images import plot_image_attention, plot_images
from tx_utils.plotting.maps import plot_attention, plot_mask, plot_positional_encoding
from tx_utils.plotting.style import new_figure, use_style

__all__ = [
    "new_figure",
    "plot_alignment",
    "plot_attention",
    "plot_bars",
    "plot_distributions",
    "plot_image_attention",
    "plot_images",
    "plot_lines",
    "plot_loss",
    "plot_mask",
    "plot_positional_encoding",
    "use_style",
]

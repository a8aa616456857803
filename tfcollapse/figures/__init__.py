"""One function per figure: table rows in, matplotlib Figure out. No TensorFlow, no training."""

from tfcollapse.figures.depth import depth_figure
from tfcollapse.figures.gamma import gamma_figure
from tfcollapse.figures.initialisation import initialisation_figure
from tfcollapse.figures.residual import residual_figure
from tfcollapse.figures.sigma import sigma_figure

__all__ = ["depth_figure", "gamma_figure", "initialisation_figure", "residual_figure", "sigma_figure"]

"""Draw the figures: one function for each figure takes table rows and returns a matplotlib Figure.

No figure needs TensorFlow, and none trains a model. Rows are what `tfcollapse.read_table` reads; networks that were not
trained are hollow. A study of your own names one of these functions, or its own, as `tfcollapse.Study.draw`.
"""

from tfcollapse.figures.blame import blame_figure
from tfcollapse.figures.countermeasures import countermeasures_figure
from tfcollapse.figures.depth import depth_figure
from tfcollapse.figures.gamma import gamma_figure
from tfcollapse.figures.initialisation import initialisation_figure
from tfcollapse.figures.reach import reach_figure
from tfcollapse.figures.residual import residual_figure
from tfcollapse.figures.sigma import sigma_figure
from tfcollapse.figures.twins import twins_figure

__all__ = [
    "blame_figure",
    "countermeasures_figure",
    "depth_figure",
    "gamma_figure",
    "initialisation_figure",
    "reach_figure",
    "residual_figure",
    "sigma_figure",
    "twins_figure",
]

"""Gather the benchmark: every case by its group. A case is told from the others by its group and its name."""

from __future__ import annotations

from tfcollapse.diagnosis.taxonomy.case import Case
from tfcollapse.diagnosis.taxonomy.data_cases import LOSSES, UNITS
from tfcollapse.diagnosis.taxonomy.interface_cases import HEADS, OUTPUTS
from tfcollapse.diagnosis.taxonomy.keras_cases import TRAINED
from tfcollapse.diagnosis.taxonomy.likelihood_cases import COUNTS, CROSS_ENTROPY
from tfcollapse.diagnosis.taxonomy.spectrum_cases import GAMMA, STRUCTURE
from tfcollapse.diagnosis.taxonomy.training_cases import BUDGETS, UNTRAINED

GROUPS: dict[str, tuple[Case, ...]] = {
    "gamma and beta": GAMMA,
    "losses in words": LOSSES,
    "structure of the data, and stuck units": STRUCTURE,
    "units of the data": UNITS,
    "what the encoder hands over": HEADS,
    "what the decoder gives": OUTPUTS,
    "never trained": UNTRAINED,
    "cross-entropy": CROSS_ENTROPY,
    "counts": COUNTS,
    "budgets and schedules": BUDGETS,
    "the paper's categories, trained in Keras": TRAINED,
}
"""The cases of every group, in the order of the page."""

CASES = tuple(case for cases in GROUPS.values() for case in cases)

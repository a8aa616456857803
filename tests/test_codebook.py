"""A codebook finds the structure that no direction shows, and none in noise."""

import numpy as np
import pytest

from tfcollapse.metrics.codebook import codebook_reductions, gain
from tfcollapse.metrics.residual_spectrum import MARGIN, held_out_variances


def test_one_bright_pixel_on_a_grid_pays_for_a_codebook_and_for_no_direction():
    grid = np.eye(64, dtype=np.float32)[np.random.default_rng(0).integers(0, 64, 4_000)]
    residuals = grid - grid.mean(axis=0)
    gamma = float(np.square(residuals).mean())
    assert held_out_variances(residuals, 8)[0] < MARGIN * gamma
    # 64 entries remove |r|^2 = 1 - 1/64 = 64 gamma: 32 nats, less log 64 = 4.16.
    size, nats = gain(codebook_reductions(residuals), gamma)
    assert size == 64
    assert nats == pytest.approx(32 - np.log(64), abs=0.2)


@pytest.mark.parametrize("dimensions", [3, 64, 400])
def test_white_noise_pays_for_no_codebook(dimensions):
    noise = np.random.default_rng(1).standard_normal((4_000, dimensions)).astype(np.float32)
    assert gain(codebook_reductions(noise), 1.0)[1] < -0.5


def test_few_examples_allow_small_codebooks_alone():
    noise = np.random.default_rng(1).standard_normal((70, 5))
    assert [size for size, _ in codebook_reductions(noise)] == [4]
    assert codebook_reductions(noise[:8]) == ()
    assert gain((), 1.0) == (0, 0.0)

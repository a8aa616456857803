"""Which dead units could be revived: against section 4's closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcollapse.metrics.residual_spectrum import (
    MARGIN,
    count_viable_directions,
    held_out_variances,
    without_linear_part,
    worth,
)
from tfcollapse.theory.affine import Spectrum


@given(st.floats(0.01, 5), st.floats(1.01, 50))
def test_a_unit_is_worth_what_the_affine_energy_falls_by(gamma, margin):
    known = Spectrum.of([margin * gamma, 0.5 * gamma, 0.1 * gamma])
    without, served = (known.stationary_energy(active, 1, gamma) for active in ((), (0,)))
    # Energies are nats times two.
    assert worth(np.array([margin * gamma]), gamma)[0] == pytest.approx((without - served) / 2, rel=1e-9, abs=1e-12)


def test_nothing_is_gained_below_gamma():
    assert worth(np.array([0.0, 0.5, 1.0]), 1.0).tolist() == [0, 0, 0]


@given(st.floats(1e-3, 10), st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_revivable_counts_directions_above_the_margin(gamma, variances):
    values = np.sort(variances)[::-1]
    assert count_viable_directions(values, gamma) == sum(value > MARGIN * gamma for value in variances)
    assert count_viable_directions(values, gamma) >= count_viable_directions(values, 2 * gamma)


@pytest.mark.parametrize(("count", "dimensions"), [(4_000, 30), (1_200, 400), (300, 1_000), (300, 5_000)])
def test_known_directions_are_measured_and_noise_is_not_taken_for_signal(count, dimensions):
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.standard_normal((dimensions, 2)))[0]
    signal = random.standard_normal((count, 2)) * np.sqrt([60.0, 30.0])
    residuals = (random.standard_normal((count, dimensions)) + signal @ axes.T).astype(np.float32)
    found = held_out_variances(residuals, 4)
    ceiling = np.sort(np.linalg.svd(residuals - residuals.mean(axis=0), compute_uv=False) ** 2 / count)[::-1]
    assert 0.6 * 61 < found[0] < 61 * 1.2
    assert 0.4 * 31 < found[1] < 31 * 1.2
    assert found[2] == pytest.approx(1.0, abs=0.3)
    assert ceiling[2] > found[2] + 0.05  # what the same images would have said


def test_few_images_give_few_directions():
    assert len(held_out_variances(np.random.default_rng(0).standard_normal((9, 20)), 10)) == 2
    assert len(held_out_variances(np.zeros((2, 20)), 3)) == 0


def test_counting_ends_with_the_first_direction_that_is_not_viable():
    # The last held-out variances of few examples are noise: these are of 200 examples of white noise.
    assert count_viable_directions(np.array([3.0, 1.0, 2.9, 4.3]), 1.0) == 1


def test_shrinkage_is_linear_in_the_means_and_no_further_unit_s_to_gain():
    random = np.random.default_rng(0)
    means = random.standard_normal((2_000, 2))
    left = random.standard_normal((2_000, 6)) * np.sqrt([0.0, 0.0, 4.0, 1.0, 1.0, 1.0])
    residuals = left + means @ np.eye(2, 6) * 3.0
    assert without_linear_part(residuals, means)[:, :2] == pytest.approx(0, abs=1e-9)
    assert held_out_variances(without_linear_part(residuals, means), 2) == pytest.approx([4.0, 1.0], rel=0.15)
    assert without_linear_part(residuals, means[:, :0]) is residuals

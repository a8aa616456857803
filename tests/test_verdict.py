"""The rules of section 3's categories on measurements made up to stand on either side of every threshold."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcollapse.diagnosis.categories import CATEGORIES
from tfcollapse.diagnosis.consistency import Misreading
from tfcollapse.diagnosis.evidence import Thresholds
from tfcollapse.diagnosis.measurements import Measurements
from tfcollapse.diagnosis.reservations import _linear_loss, above_linear
from tfcollapse.diagnosis.verdict import decide
from tfcollapse.metrics.information import Information
from tfcollapse.theory import affine


def measurements(active=2, dead=2, gamma=0.01, optimal=0.01, residual=(), **changed):
    latent = active + dead
    values = {
        "images": 1_000,
        "dimensions": 16,
        "latent_dim": latent,
        "likelihood": "gaussian",
        "gamma": gamma,
        "implied_gamma": None,
        "optimal_gamma": optimal,
        "dispersion": optimal,
        "kl_per_dimension": np.array([2.0] * active + [0.001 * (i + 1) for i in range(dead)]),
        "latent_variance": np.array([0.9] * active + [1e-4] * dead),
        "sigma": np.array([0.3] * active + [1.0] * dead),
        "sigma_histogram": np.full(48, 1 / 48),
        "information": Information(2.0, 0.1, math.log(1_000), 1.0),
        "effective_rank": float(active),
        "repeated_units": 0,
        "data_term": 16 * optimal,
        "error": optimal,
        "error_at_mean": optimal,
        "probed_error": optimal,
        "shuffled_error": 0.12,
        "mean_predictor_error": 0.08,
        "pca_error": 0.02,
        "predicted_active_units": latent,
        "residual_variances": np.array([*residual, *[0.0] * (latent - len(residual))]),
        "data_eigenvalues": np.array([0.5, 0.2]),
        "shuffled_error_per_unit": np.zeros(latent),
        "smallest_singular_value": (0.0, 0.1),
        "amortization_gap": None,
        "implied_gamma_per_unit": np.full(latent, np.nan),
        "second_moment": np.ones(latent),
        "squared_sigma": np.array([0.09] * active + [1.0] * dead),
        "share_near_prior": dead / latent,
        "mean_residual_share": 0.0,
        "binary": False,
        "unreconstructed": (0, 0.0),
        "data_range": (0.0, 1.0),
        "output_range": (0.0, 1.0),
        "near_bounds": (0.0, 0.0, 0.0),
        "misreading": Misreading(0.0, optimal, optimal, 1.0, math.inf, math.inf, 0.08, 0.08),
        "codebook": (),
        "autoregressive": False,
        "own_variances": None,
        "shown": (np.zeros((2, 4, 4, 1)), np.zeros((2, 4, 4, 1))),
    }
    return Measurements(**(values | changed))


@pytest.mark.parametrize(("gamma", "category"), [(0.01, "healthy"), (10.0, "in use")])
def test_without_an_idle_unit_there_is_no_collapse_whatever_is_left(gamma, category):
    verdict = decide(measurements(dead=0, gamma=gamma, residual=(5.0,)))
    assert verdict.categories == (category,)
    assert verdict.per_dimension == ("active", "active")


@pytest.mark.parametrize(
    ("residual", "counts"),
    [
        ((), {"i": 2}),
        ((0.0149,), {"i": 2}),
        ((0.0151,), {"v": 1, "i": 1}),
        ((0.1, 0.1), {"v": 2}),
        ((0.1, 0.1, 0.1, 0.1), {"v": 2}),
    ],
)
def test_what_the_residual_would_pay_for_at_the_gamma_in_force_is_stuck(residual, counts):
    assert decide(measurements(residual=residual)).counts == {"active": 2, **counts}


@pytest.mark.parametrize(
    ("gamma", "counts"),
    [
        (0.01, {"v": 2}),
        (0.019, {"v": 2}),  # not large: within a factor of 2
        (0.05, {"v": 1, "ii": 1}),
        (0.12, {"ii": 2}),
    ],
)
def test_what_it_would_pay_for_at_a_smaller_gamma_is_gamma_s_doing(gamma, counts):
    assert decide(measurements(gamma=gamma, residual=(0.1, 0.06))).counts == {"active": 2, **counts}


def test_the_active_units_are_believed_before_the_user():
    m = measurements(gamma=0.01, residual=(0.1,), implied_gamma=0.5)
    verdict = decide(m)
    assert verdict.category == "ii" or verdict.counts["ii"] == 1
    assert any("behave as under gamma 0.5" in note for note in verdict.notes)
    near = decide(dataclasses.replace(m, implied_gamma=0.015))
    assert near.counts["v"] == 1
    assert not any("behave as under" in note for note in near.notes)


def test_without_a_gamma_it_does_not_guess():
    verdict = decide(measurements(active=0, gamma=None, residual=(0.1,)))
    assert verdict.counts == {"active": 0, "undecided": 1, "i": 1}
    assert any("declare gamma" in each.reading for each in verdict.evidence)
    # Where nothing would pay at the best gamma, it need not be known.
    assert decide(measurements(active=0, gamma=None)).categories == ("i",)


def test_too_few_images_decide_nothing_unless_what_they_show_suffices():
    m = measurements(dead=3, residual=(0.1,))
    few = dataclasses.replace(m, images=4, residual_variances=np.array([0.1]))
    assert decide(few).counts == {"active": 2, "undecided": 3}
    assert any(each.name == "examples" for each in decide(few).evidence)
    assert decide(dataclasses.replace(few, residual_variances=np.zeros(0))).categories == ("undecided",)
    # Nothing that would pay is left along the measured directions, but four images do not show that none is.
    none = dataclasses.replace(few, residual_variances=np.array([0.001]))
    assert decide(none).categories == ("undecided",)
    assert decide(dataclasses.replace(none, images=64)).categories == ("i",)
    assert decide(m).counts == {"active": 2, "v": 1, "i": 2}


@pytest.mark.parametrize(("shuffled", "category"), [(0.039, "iv"), (0.041, "v")])
def test_a_decoder_that_knows_the_images_without_z(shuffled, category):
    m = measurements(residual=(0.1, 0.1), autoregressive=True, shuffled_error=shuffled)
    assert decide(m).categories == (category,)
    assert decide(dataclasses.replace(m, autoregressive=False)).categories == ("v",)


@pytest.mark.parametrize(
    ("variances", "error", "categories"),
    [
        ((0.9e-4, 1e-2, 1e-2, 1e-2), 0.06, ("iii",)),
        ((1.1e-4, 1e-2, 1e-2, 1e-2), 0.06, ("i",)),
        ((0.9e-4, 1e-2, 1e-2, 1e-2), 0.03, ("i",)),
    ],
)
def test_a_covariance_that_has_run_off(variances, error, categories):
    m = measurements(own_variances=variances, gamma=variances[2], error_at_mean=error)
    assert decide(m).categories == categories


@given(
    st.integers(0, 6),
    st.integers(0, 6),
    st.floats(1e-4, 10),
    st.floats(1e-4, 10),
    st.lists(st.floats(0, 10), max_size=8),
    st.booleans(),
    st.one_of(st.none(), st.floats(1e-4, 10)),
)
def test_every_unit_has_one_label_and_every_number_its_place(active, dead, gamma, optimal, residual, known, implied):
    if active + dead == 0:
        return
    m = measurements(active, dead, gamma if known else None, optimal, residual[: active + dead], implied_gamma=implied)
    verdict = decide(m)
    assert sum(verdict.counts.values()) == active + dead == len(verdict.per_dimension)
    assert verdict.per_dimension.count("active") == active == verdict.counts["active"]
    for name in verdict.categories:
        assert verdict.per_dimension.count(name) == verdict.counts.get(name, 0)
        assert CATEGORIES[name].order == 0 or verdict.counts[name] > 0
    assert all(each.distance >= 1 for each in verdict.evidence)
    assert verdict.headline
    assert verdict.next_step


def test_from_very_few_images_nothing_is_decided():
    for changes in ({}, {"second_moment": np.full(2, 2.0)}):  # as of a healthy model, and of an unsettled one
        verdict = decide(measurements(dead=0, images=9, **changes))
        assert verdict.categories == ("undecided",)
        assert verdict.headline == "Undecided: 9 examples are too few to tell what the model does."
        assert verdict.next_step.startswith("give more data")
        assert decide(measurements(dead=0, images=10, **changes)).category != "undecided"


@pytest.mark.parametrize(
    ("changes", "reading"),
    [
        # z = mu + eps: sigma has no effect on the error, so that the KL alone moves it, to 1.
        ({"squared_sigma": np.array([0.99, 1.0]), "second_moment": np.array([1.5, 4.0])}, "2 of the 2 units"),
        # z = mu: the decoder has never seen the noise.
        ({"error": 0.4, "squared_sigma": np.ones(2), "second_moment": np.full(2, 1.03)}, "with z drawn it is 5 times"),
    ],
)
def test_a_z_that_is_not_drawn_with_its_sigma_is_inconsistent_and_not_gamma_s_doing(changes, reading):
    verdict = decide(measurements(dead=0, gamma=0.01, **changes))
    assert verdict.categories == ("inconsistent",)
    assert reading in verdict.headline
    assert "is z drawn as mu + sigma * eps" in verdict.headline.replace("Is z", "is z")
    assert verdict.next_step.startswith("draw z as mu + sigma * eps")


def test_a_unit_that_a_settled_vae_uses_is_no_such_unit():
    settled = {"squared_sigma": np.array([0.79, 0.3]), "second_moment": np.ones(2)}
    assert decide(measurements(dead=0, **settled)).category == "healthy"


def test_a_decoder_that_knows_the_images_is_not_said_to_give_the_mean():
    found = decide(measurements(active=0, dead=2, autoregressive=True, shuffled_error=0.004, error_at_mean=0.004))
    assert found.category == "iv"
    assert not any("gives the mean example" in note for note in found.notes)


@pytest.mark.parametrize(("beta", "said"), [(1.0, "as beta 8 would"), (0.125, "a weight of 1 on the KL")])
def test_grey_data_under_cross_entropy_are_noted_at_the_beta_in_force(beta, said):
    grey = measurements(dead=0, likelihood="bernoulli", gamma=beta, dispersion=0.125, optimal=0.125)
    (note,) = [note for note in decide(grey).notes if "not binary" in note]
    assert note.endswith(said)


def test_a_dead_unit_s_label_goes_by_its_kl():
    verdict = decide(measurements(residual=(0.1,)))
    assert verdict.per_dimension == ("active", "active", "i", "v")  # the last has the larger KL


@pytest.mark.parametrize(
    ("error", "note"), [(0.09, "above the mean predictor's"), (0.05, "a linear VAE of 2 units would"), (0.01, None)]
)
def test_an_error_above_the_ceiling_or_the_floor_is_noted(error, note):
    verdict = decide(measurements(dead=0, error=error, error_at_mean=error))
    said = " ".join([verdict.headline, *verdict.notes])
    assert said.count(note) == 1 if note else ("error" not in said)


def test_units_in_use_with_a_loss_above_a_linear_vae_s_are_not_called_healthy():
    verdict = decide(measurements(dead=0, error=0.05), blame="b.py")
    assert verdict.categories == ("in use",)
    assert verdict.headline.startswith(
        "In use, but the loss is too high: all 2 latent units are in use, but a linear VAE of 2"
    )
    assert verdict.next_step.startswith("train longer, unless a floor under the KL (free bits) holds the loss up")
    assert verdict.reservation == "the loss is too high"
    assert decide(measurements(dead=0)).headline == "Healthy: all 2 latent units are in use, and every check agrees."
    assert decide(measurements(dead=0)).next_step == "nothing needs to be done"
    bernoulli = measurements(dead=0, error=0.05, likelihood="bernoulli", gamma=None)
    assert decide(bernoulli).headline.startswith("Healthy")


@pytest.mark.parametrize("gamma", [0.02, 0.3, 1.0])
def test_a_linear_vae_has_the_loss_that_it_is_said_to_have(gamma):
    """The energy of eq. (4) is two losses, d log gamma, and 1 a unit. So many examples are as good as all."""
    eigenvalues = np.array([9.0, 0.6, 0.16, 0.04])
    energy = affine.Spectrum.of(eigenvalues).energy(3, gamma)
    facts = {"dimensions": 4, "images": 10**9, "data_eigenvalues": eigenvalues, "pca_error": eigenvalues[3] / 4}
    found = measurements(active=3, dead=0, gamma=gamma, **facts)
    assert 2 * _linear_loss(found, gamma) + 4 * np.log(gamma) + 3 == pytest.approx(energy, rel=1e-6)


def test_principal_components_of_few_examples_are_no_measure_for_others():
    """Twenty directions that are fitted to 100 examples leave less of these than of others."""
    images = np.random.default_rng(0).normal(size=(200, 80)) * np.where(np.arange(80) < 20, 10.0, 1.0)
    first, second = images[:100] - images[:100].mean(0), images[100:] - images[:100].mean(0)
    directions = np.linalg.svd(first, full_matrices=False)[2][:20]
    own, others = (np.square(part - part @ directions.T @ directions).mean() for part in (first, second))
    facts = {"images": 100, "latent_dim": 20, "dimensions": 80, "data_eigenvalues": np.zeros(20)}
    unknown = ({"images": 79}, {"data_eigenvalues": np.zeros(19)})
    few = measurements(dead=0, pca_error=own, gamma=1.0, kl_per_dimension=np.zeros(20), **facts)
    assert others > 1.2 * own
    assert not above_linear(dataclasses.replace(few, error=others))
    assert above_linear(dataclasses.replace(few, error=2 * others))
    for changed in unknown:
        assert not above_linear(dataclasses.replace(few, error=2 * others, **changed))


def test_superfluous_units_beside_a_high_loss_are_not_called_harmless_alone():
    facts = {"data_eigenvalues": np.array([0.5, 0.2, 0.001]), "residual": (0.001,), "error": 0.05}
    verdict = decide(measurements(dead=1, **facts))
    assert verdict.categories == ("i",)
    assert "But a linear VAE of 3 units would have a lower loss" in verdict.headline
    assert verdict.next_step.startswith("train longer")


def test_thresholds_can_be_moved():
    m = measurements(residual=(0.014,))
    assert decide(m).categories == ("i",)
    assert "v" in decide(m, Thresholds(margin=1.3)).categories
    assert decide(m, Thresholds(active_variance=1e-5, active_kl=1e-5)).categories == ("healthy",)


def test_evidence_says_how_far_from_the_threshold():
    evidence = {each.name: each for each in decide(measurements(residual=(0.06,))).evidence}
    margin = evidence["largest variance left in the residual, over the effective gamma"]
    assert margin.value == pytest.approx(6.0)
    assert margin.distance == pytest.approx(4.0)

"""A VAE whose best weights are known in closed form, bent in one way each: the verdict says which way."""

import numpy as np
import pytest

import tfcollapse as tc
from tfcollapse.diagnosis.evidence import Thresholds
from tfcollapse.diagnosis.taxonomy.affine_vae import affine_vae, known_data

GAMMA, LATENT = 0.03, 8
SUMMED = "squared error summed, weight 16.6667"
PIXELS = tc.load(tc.Data(name="fashion_mnist_mini")).train[:3_000]
IMAGES = (PIXELS / np.float32(255)).reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4))[..., None]
"""[3000, 7, 7, 1]: small, for time."""
FLAT = IMAGES.reshape(len(IMAGES), -1)
MEAN = FLAT.mean(axis=0)
DIMENSIONS = MEAN.size
VALUES, VECTORS = (part[..., ::-1][..., :LATENT] for part in np.linalg.eigh(np.cov(FLAT.T)))


def encode(x):
    """The best encoder of section 4: mu = U'(x - mean) sqrt(lambda - gamma) / lambda, sigma^2 = gamma / lambda."""
    mean = (x.reshape(len(x), -1) - MEAN) @ VECTORS * np.sqrt(VALUES - GAMMA) / VALUES
    return mean, np.log(np.full((len(x), 1), GAMMA) / VALUES)


def decode(z):
    return MEAN + z * np.sqrt(VALUES - GAMMA) @ VECTORS.T


def idle(x):
    """An encoder that has given up: the posterior is the prior."""
    return np.zeros((len(x), LATENT)), np.zeros((len(x), LATENT))


def mean_image(z):
    return np.repeat(MEAN[None], len(z), axis=0)


def words(diagnosis):
    return f"{diagnosis.verdict.headline} {diagnosis.verdict.next_step} {' '.join(diagnosis.verdict.notes)}"


def test_the_best_weights_are_healthy():
    found = tc.diagnose(encode, decode, IMAGES, GAMMA)
    assert found.verdict.categories == ("healthy",)
    assert found.verdict.counts == {"active": LATENT}
    assert found.measurements.implied_gamma == pytest.approx(GAMMA, rel=0.01)
    assert found.measurements.second_moment == pytest.approx(np.ones(LATENT), abs=0.01)
    assert found.measurements.mean_residual_share < 1e-3


SCALES = {"in [-1, 1]": (0.5, np.float32(0.5)), "standardised": (0.25, MEAN), "in decibels": (1 / 60, np.float32(1.3))}


@pytest.mark.parametrize(("scale", "shift"), SCALES.values(), ids=SCALES)
def test_the_units_of_the_data_change_gamma_alone(scale, shift):
    # x = scale * y + shift: gamma of y is gamma of x over scale squared.
    found = tc.diagnose(
        lambda y: encode(y.reshape(len(y), -1) * scale + shift),
        lambda z: (decode(z) - shift) / scale,
        ((FLAT - shift) / scale).reshape(IMAGES.shape),
        GAMMA / scale**2,
    )
    assert found.verdict.categories == ("healthy",)
    assert found.measurements.implied_gamma == pytest.approx(GAMMA / scale**2, rel=0.01)


@pytest.mark.parametrize(
    ("declared", "gamma"),
    [
        ({"loss": f"squared error summed, weight {0.5 / GAMMA}"}, GAMMA),
        ({"loss": f"squared error averaged over pixels, weight {0.5 * DIMENSIONS / GAMMA}"}, GAMMA),
        ({"loss": "half squared error summed, beta 0.03"}, GAMMA),
        ({}, None),
    ],
)
def test_what_is_known_of_the_loss_may_be_said_in_any_way(declared, gamma):
    found = tc.diagnose(encode, decode, IMAGES, **declared)
    assert found.measurements.gamma == (None if gamma is None else pytest.approx(gamma))
    assert found.verdict.categories == ("healthy",)
    assert not any("behave as under gamma" in note and "times the declared" in note for note in found.verdict.notes)


def test_a_declared_gamma_that_the_units_contradict_is_not_believed():
    found = tc.diagnose(encode, decode, IMAGES, loss="squared error averaged over pixels")
    assert found.verdict.categories == ("in use",)
    assert found.measurements.effective_gamma == pytest.approx(GAMMA, rel=0.01)
    assert "times the declared 24.5" in words(found)


def test_logits_are_not_taken_for_the_images():
    def logits(z):
        probabilities = np.clip(decode(z), 0.01, 0.99)
        return np.log(probabilities / (1 - probabilities))

    found = tc.diagnose(encode, logits, IMAGES, GAMMA)
    assert found.verdict.categories == ("inconsistent",)
    assert "logits" in found.verdict.headline
    assert "output='logits'" in found.verdict.next_step
    told = tc.diagnose(encode, logits, IMAGES, GAMMA, output="logits")
    assert told.verdict.categories == ("healthy",)


def test_logits_of_a_collapsed_model_are_seen_too():
    probabilities = np.clip(MEAN, 0.01, 0.99)
    found = tc.diagnose(idle, lambda z: np.repeat(np.log(probabilities / (1 - probabilities))[None], len(z), 0), IMAGES)
    assert found.verdict.categories == ("inconsistent",)
    assert "logits" in found.verdict.headline


def test_units_that_gamma_leaves_alone_are_superfluous_however_large_it_is():
    # Five directions are coded, five units are left over. What the five leave at a large gamma is shrinkage.
    values = np.array([40.0, 30.0, 20.0, 10.0, 9.0])
    data = np.random.default_rng(0).standard_normal((4_000, 32)) * np.sqrt(np.r_[values, np.full(27, 0.05)])
    weights = np.diag(np.sqrt(values - 4.0))

    def encoder(x):
        mean = np.concatenate([x[:, :5] @ weights / values, np.zeros((len(x), 5))], axis=1)
        return mean, np.tile(np.log(np.r_[4.0 / values, np.ones(5)]), (len(x), 1))

    found = tc.diagnose(
        encoder, lambda z: np.concatenate([z[:, :5] @ weights, np.zeros((len(z), 27))], axis=1), data, 4.0
    )
    assert found.verdict.categories == ("i",)
    assert found.verdict.counts == {"active": 5, "i": 5}


def test_a_beta_of_2_is_to_blame_for_what_it_kills():
    # At beta 2 and gamma 1/2 nothing above 1 is left of these; at beta 1 two directions would pay.
    table = np.random.default_rng(0).standard_normal((4_000, 4)) * np.sqrt([1.9, 1.2, 0.5, 0.4])
    found = tc.diagnose(
        lambda x: (np.zeros((len(x), 2)), np.zeros((len(x), 2))),
        lambda z: np.zeros((len(z), 4)),
        table,
        loss="squared error summed, beta 4",
    )
    assert found.verdict.categories[0] == "ii"
    assert "lower beta from 4 to 1" in found.verdict.next_step


def test_an_output_of_another_scale_than_the_data_is_seen():
    found = tc.diagnose(encode, lambda z: 255 * decode(z), IMAGES, GAMMA)
    assert found.verdict.categories == ("inconsistent",)
    assert "another scale" in found.verdict.headline


def test_an_activation_on_the_log_variance_head_is_seen():
    found = tc.diagnose(lambda x: (encode(x)[0], np.maximum(encode(x)[1], 0)), decode, IMAGES, GAMMA)
    assert found.verdict.categories == ("inconsistent",)
    assert "activation on the encoder's log-variance head" in found.verdict.headline


@pytest.mark.parametrize(
    ("output", "name"), [(np.exp, "variance"), (lambda v: np.exp(v / 2), "sigma"), (lambda v: v / 2, "log sigma")]
)
def test_what_is_not_the_log_variance_is_recognised_and_named(output, name):
    found = tc.diagnose(lambda x: (encode(x)[0], output(encode(x)[1])), decode, IMAGES, GAMMA)
    assert found.verdict.categories == ("healthy",)
    assert name in " ".join(found.verdict.notes)


def test_pixels_of_0_and_1_are_the_same_in_every_type():
    binary = FLAT > 0.4
    verdicts = [tc.diagnose(encode, decode, binary.astype(kind), GAMMA).verdict for kind in ("uint8", "float32", "?")]
    assert verdicts[0] == verdicts[1] == verdicts[2]
    assert verdicts[0].counts["active"] == LATENT


def test_a_declared_gamma_that_nothing_can_check_never_decides_alone():
    found = tc.diagnose(idle, mean_image, IMAGES, 0.04)
    assert found.verdict.categories == ("undecided",)
    said = words(found)
    assert "gamma is 0.04: 8 of category (v)" in said
    assert "averaged over the 49 numbers, gamma is 1.96: 8 of category (ii)" in said
    told = tc.diagnose(idle, mean_image, IMAGES, loss="squared error summed, weight 12.5")
    assert told.verdict.categories == ("undecided",)
    assert "weight 12.5, beta 1: gamma 0.04" in words(told)
    averaged = tc.diagnose(idle, mean_image, IMAGES, loss="squared error averaged, weight 12.5")
    assert averaged.verdict.categories == ("ii",)


@pytest.mark.parametrize(("averaged", "category"), [(False, "v"), (True, "ii")])
def test_the_training_s_log_tells_which_reading_is_right(averaged, category):
    error = np.square(FLAT - MEAN).sum(axis=1).mean()
    found = tc.diagnose(idle, mean_image, IMAGES, 0.04, logged=error / (DIMENSIONS if averaged else 1))
    assert found.verdict.categories == (category,)
    told = "contradicts the declared loss: it is that of gamma 1.96 (the error is averaged over the 49 numbers), not of"
    assert (told in words(found)) == averaged
    assert ("log agrees with the declared error" in words(found)) != averaged
    assert "was it summed over the batch" in words(found)  # of which the log says nothing


def test_nothing_declared_and_no_unit_active_names_every_reading():
    found = tc.diagnose(idle, mean_image, IMAGES)
    assert found.verdict.categories == ("undecided",)
    for reading in (
        "if gamma is learned",
        "if the squared error is summed",
        "if the error is averaged over the 49 numbers",
    ):
        assert reading in words(found)


def test_a_collapsed_model_stands_at_the_mean_and_is_not_untrained():
    found = tc.diagnose(idle, mean_image, IMAGES, 24.5)
    assert found.verdict.categories == ("ii",)
    assert "sum the error over the 49 numbers" in found.verdict.next_step
    assert "hardly begun" not in words(found)


def test_one_bright_pixel_on_a_grid_is_structure_though_its_spectrum_is_flat():
    grid = np.eye(64, dtype=np.float32)[np.random.default_rng(0).integers(0, 64, 4_000)]
    mean, gamma = grid.mean(axis=0), float(np.square(grid - grid.mean(axis=0)).mean())
    found = tc.diagnose(idle, lambda z: np.repeat(mean[None], len(z), axis=0), grid, gamma)
    assert found.verdict.categories == ("v",)
    noise = np.random.default_rng(0).standard_normal((4_000, 64))
    flat = tc.diagnose(idle, lambda z: np.zeros((len(z), 64)), noise, 1.0)
    assert flat.verdict.categories == ("i",)


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_a_model_that_has_learned_nothing_is_not_trained(bias):
    random = np.random.default_rng(0)
    down, up = random.normal(size=(DIMENSIONS, LATENT)) / 7, random.normal(size=(LATENT, DIMENSIONS)) / 7

    def encoder(x):
        flat = x.reshape(len(x), -1)
        return flat @ down, 0.1 * flat @ down

    found = tc.diagnose(encoder, lambda z: z @ up + bias, IMAGES, 0.5)
    assert found.verdict.categories == ("not trained",)


def test_dead_units_of_a_decoder_that_does_not_even_give_the_mean_are_not_trained():
    found = tc.diagnose(idle, lambda z: np.zeros((len(z), DIMENSIONS)), IMAGES, 0.09)
    assert found.verdict.categories == ("not trained",)


@pytest.mark.parametrize(("gamma", "category"), [(0.2, "not trained"), (0.0115, "in use")])
def test_a_learned_gamma_must_have_arrived_at_the_error(gamma, category):
    found = tc.diagnose(encode, decode, IMAGES, gamma, gamma_learned=True)
    assert found.measurements.error == pytest.approx(0.0115, rel=0.05)
    assert found.verdict.categories == (category,)


def test_many_weak_units_are_a_soft_collapse():
    # Eight directions of variance 1 are not coded, eight of 0.1 are, just above gamma: sigma is 0.95 there.
    deviations = np.sqrt(np.array([1.0] * 8 + [0.1] * 8))
    data, gamma = np.random.default_rng(0).standard_normal((4_000, 16)) * deviations, 0.09
    weights = np.zeros((8, 16))
    weights[:, 8:] = np.eye(8) * np.sqrt(0.1 - gamma)

    def encoder(x):
        return x @ weights.T / 0.1, np.full((len(x), 8), np.log(gamma / 0.1))

    found = tc.diagnose(encoder, lambda z: z @ weights, data, loss=f"half squared error summed, beta {gamma}")
    assert found.measurements.active_units == 8
    assert found.measurements.share_near_prior == 1
    assert found.verdict.categories == ("v",)
    assert found.verdict.headline.startswith("8 of 8 latent units are weak")
    assert found.verdict.headline.endswith("8 of 8 are active, 8 of them weak.")
    # The same units where nothing else is left are in use, if only a little.
    few = weights[:, 8:]
    alone = tc.diagnose(lambda x: (x @ few.T / 0.1, encoder(data[: len(x)])[1]), lambda z: z @ few, data[:, 8:], gamma)
    assert alone.verdict.categories == ("healthy",)


def test_a_loss_that_the_units_contradict_is_not_called_healthy_in_words():
    # z drawn with sigma^2 in the place of sigma: trained like that, the log variance is half of what it should be.
    found = tc.diagnose(lambda x: (encode(x)[0], encode(x)[1] / 2), decode, IMAGES, loss=SUMMED, spread="log_variance")
    assert "Healthy" not in found.verdict.headline
    assert "times the declared 0.03" in words(found)


def test_a_log_that_is_not_this_model_s_is_said():
    assert "is not that of this model" in words(tc.diagnose(encode, decode, IMAGES, GAMMA, logged=7.0))
    error = tc.diagnose(encode, decode, IMAGES, GAMMA).measurements.data_term
    assert "is not that of this model" not in words(tc.diagnose(encode, decode, IMAGES, GAMMA, logged=error))


def test_a_log_of_half_the_squared_error_is_this_model_s_too():
    declared = {"loss": f"half squared error summed, beta {GAMMA}"}
    half = tc.diagnose(encode, decode, IMAGES, **declared).measurements.data_term / 2
    assert "is not that of this model" not in words(tc.diagnose(encode, decode, IMAGES, **declared, logged=half))
    assert "is not that of this model" in words(tc.diagnose(encode, decode, IMAGES, **declared, logged=2 * half))


@pytest.mark.parametrize(("activation", "name"), [(lambda v: 1 / (1 + np.exp(-v)), "sigmoid"), (np.tanh, "tanh")])
def test_an_output_that_its_activation_bounds_is_seen(activation, name):
    # Standardised numbers go from about -3 to 3.
    data = (FLAT - FLAT.mean()) / FLAT.std()
    data[:, 0] = np.linspace(-3, 3, len(data))
    found = tc.diagnose(
        lambda x: encode(x * FLAT.std() + FLAT.mean()),
        lambda z: activation(5 * (decode(z) - FLAT.mean()) / FLAT.std()),
        data,
        GAMMA / FLAT.var(),
    )
    assert found.verdict.categories == ("inconsistent",)
    assert f"as after a {name}" in found.verdict.headline


def test_a_linear_output_that_stays_between_0_and_1_by_chance_is_no_sigmoid_s():
    data = known_data(1, (6,), eigenvalues=[0.143, 0.13, 0.1, 0.1, 0.1, 0.1], count=300).astype(float)
    vae = affine_vae(data, 2, 0.1)
    found = tc.diagnose(vae.encode, vae.decode, data, gamma=0.1)
    low, high = found.measurements.output_range
    assert 0 < low < 0.02 < 0.98 < high < 1
    assert found.verdict.categories == ("healthy",)


@pytest.mark.parametrize("seed", range(6))
def test_no_linear_vae_is_said_to_be_better_than_the_best_one(seed):
    """One draw of z for each of 300 examples leaves the loss 5% of chance and more."""
    random = np.random.default_rng(5)
    data = random.normal(size=(300, 1)) @ random.normal(size=(3, 1)).T + 0.3 * random.normal(size=(300, 3))
    data = (data - data.mean(0)) / data.std(0)
    gamma = 0.4 * float(np.linalg.eigvalsh(np.cov(data.T, bias=True))[-1])
    vae = affine_vae(data, 1, gamma)
    assert tc.diagnose(vae.encode, vae.decode, data, gamma=gamma, seed=seed).verdict.categories == ("healthy",)


def test_columns_are_lost_to_a_squared_error_alone():
    """A decoder with a variance for each column: its unit codes the large one, and three small ones are alike."""
    random, scale = np.random.default_rng(0), np.array([10, 0.1, 0.1, 0.1])
    first, shared = random.normal(size=(1_000, 1)), random.normal(size=(1_000, 1))
    data = np.concatenate([first, np.repeat(shared, 3, axis=1)], axis=1) + 0.1 * random.normal(size=(1_000, 4))
    data, noise = data * scale, np.array([0.01, 1.01, 1.01, 1.01])
    variance = 0.01 / 1.01
    found = tc.diagnose(
        lambda x: (x[:, :1] / 10 * (1 - variance), np.full((len(x), 1), np.log(variance))),
        lambda z: (z * np.array([1.0, 0, 0, 0]) * scale, np.broadcast_to(np.log(noise * scale**2), (len(z), 4))),
        data,
    )
    assert found.measurements.unreconstructed[0] == 3
    assert found.verdict.categories == ("healthy",)


def test_an_exact_reconstruction_divides_by_no_error():
    data = np.random.default_rng(0).integers(0, 2, (200, 3)).astype(float)
    found = tc.diagnose(
        lambda x: (2 * x - 1, np.full((len(x), 3), -9.0)),
        lambda z: (z > 0).astype(float),
        data,
        loss="cross-entropy summed",
        logged=0.0,
    )
    assert found.verdict.headline


def test_a_sigmoid_before_pixels_up_to_255_is_seen():
    data = np.concatenate([255 * FLAT, np.full((len(FLAT), 1), 255.0)], axis=1)

    def decoder(z):
        return np.concatenate([0.8 + 0.2 / (1 + np.exp(-z[:, :1])) + 0 * MEAN, np.ones((len(z), 1))], axis=1)

    found = tc.diagnose(lambda x: (x[:, :8] / 255, np.full((len(x), 8), -2.0)), decoder, data, 0.5)
    assert found.verdict.categories == ("inconsistent",)
    assert "as after a sigmoid" in found.verdict.headline


def test_an_encoder_that_is_constant_is_named():
    assert "the encoder gives the same mean for every example" in words(tc.diagnose(idle, mean_image, IMAGES, 0.04))


def test_columns_that_are_too_small_to_count_are_named():
    table = alike(0, 2_000, [10, 10], 0.1, 2)
    found = best(table, 2, 0.5)
    assert found.verdict.categories == ("in use",)
    assert "In use, but not for everything" in found.verdict.headline
    assert "2 of 4 numbers are reconstructed by less than half" in words(found)
    assert "standardise the columns" in found.verdict.next_step
    assert not any("by less than half" in note for note in found.verdict.notes)  # the headline has said it


def alike(seed, count, large, small, columns):
    """Independent columns of these standard deviations, and small ones that are all alike but for noise of a tenth."""
    random = np.random.default_rng(seed)
    same = random.normal(size=(count, 1)) + 0.1 * random.normal(size=(count, columns))
    return np.concatenate([random.normal(size=(count, len(large))) * large, small * same], axis=1)


def best(table, units, gamma, fitted=None, **known):
    """The diagnosis of the best affine VAE at `fitted`, by default gamma."""
    vae = affine_vae(table, units, fitted or gamma)
    return tc.diagnose(vae.encode, vae.decode, table, gamma=gamma, **known)


@pytest.mark.parametrize(("scale", "units"), [(1e3, 1), (1e3, 3), (1e5, 1), (1e5, 3)])
def test_a_column_far_larger_than_the_others_hides_them_at_every_scale(scale, units):
    found = best(alike(0, 2_000, [scale], 0.3, 4), units, 0.5)
    assert found.measurements.unreconstructed[0] == 4
    assert "4 of 5 numbers are reconstructed by less than half" in words(found)


@pytest.mark.parametrize("third", [2.7, 3.4])
def test_a_larger_column_that_is_lost_too_changes_nothing(third):
    found = best(alike(1, 3_000, [10, 7, third], 1.0, 9), 2, 0.05)
    assert "9 of 12 numbers" in found.verdict.headline


def test_columns_that_a_standardised_table_would_lose_too_are_not_called_too_small():
    noise = np.random.default_rng(0).normal(size=(3_000, 10)) * [20**0.5, *[1] * 9]
    assert best(noise, 1, 0.9).verdict.categories == ("healthy",)  # one unit for ten independent columns
    assert best(noise, 10, 0.6).verdict.categories == ("healthy",)  # each unit leaves gamma


def test_the_variance_of_a_column_is_that_of_all_rows():
    """A tenth of the variance of a column with heavy tails may be in a few rows."""
    random = np.random.default_rng(2)
    table = np.stack([1_000 * random.normal(size=60_000), np.exp(2 * np.random.default_rng(2).normal(size=60_000))], 1)
    assert best(table, 2, 0.3 * table[:, 1].var()).verdict.categories == ("healthy",)


@pytest.mark.parametrize("constant", [1.0, 9_999_999.0, 12_345_678.0, 20_240_131.0, 1_600_000_123.0])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_constant_column_of_many_digits_changes_nothing(constant, kind):
    random = np.random.default_rng(0)
    table = random.normal(size=(2_000, 3)) @ random.normal(size=(3, 6))
    table = table / table.std(0) + 0.4 * random.normal(size=(2_000, 6))
    with_constant = np.concatenate([table, np.full((2_000, 1), np.float32(constant))], axis=1).astype(kind)
    assert best(with_constant, 3, 0.3).verdict.categories == ("healthy",)


def test_columns_that_float32_makes_nearly_constant_are_refused():
    seconds = 1.6e9 + 60 * np.random.default_rng(0).uniform(size=(500, 2))
    with pytest.raises(tc.ConfigError, match=r"in column 0: subtract its mean"):
        best(seconds, 2, 1.0)
    assert best(seconds - 1.6e9, 2, 1.0).verdict.categories == ("healthy",)
    days = np.concatenate([FLAT[:, :3], 20_240_100 + np.arange(len(FLAT))[:, None] % 2], axis=1)
    with pytest.raises(tc.ConfigError, match=r"received 20240100 to 20240101 in column 3"):
        best(days, 2, 1.0)


def test_where_beta_alone_is_too_large_gamma_is_left_as_it_is():
    data = known_data(0, (3,), [3, 0.79, 0.1])
    assert best(data, 2, 0.5, 1.5, beta=3.0).verdict.next_step == "lower beta from 3 to 1"
    assert best(data, 2, 0.5).verdict.categories == ("healthy",)


def test_beta_is_named_where_it_scales_the_kl():
    data = known_data(0, (8,), [8, 4, 2, 1, 0.1, 0.1, 0.1, 0.1])
    assert "behave as under gamma times beta 2" in words(best(data, 4, None, 2.0, beta=4.0))
    assert "times the declared 0.2" in words(best(data, 4, 0.05, 2.0, beta=4.0))
    assert "behave as under gamma times beta" in words(best(data, 4, 0.05, 2.0, beta=4.0))
    assert "comes alive below 53" in words(best(data, 4, 100.0, 10.0, beta=0.1))


def test_a_collapsed_vae_whose_data_have_a_common_flag_is_not_called_bounded():
    random = np.random.default_rng(5)
    factor = random.normal(size=(5_000, 1)) + [[0, 0, 0]]
    spend = 0.4 * np.exp(1.2 * factor + 0.1 * random.normal(size=(5_000, 3)) - 0.72)
    flag = (random.uniform(size=(5_000, 1)) < 0.99) * 1.0
    assert best(np.concatenate([flag, spend], axis=1), 2, 20.0).verdict.categories == ("ii",)


@pytest.mark.parametrize("seed", [5, 6, 7, 11])
def test_units_that_are_just_alive_do_not_make_another_scale(seed):
    data = known_data(seed, (8,), [8, 4, 2, 1, 0.1, 0.1, 0.1, 0.1], offset=0.0, count=3_000)
    assert "ii" in best(data, 3, 7.9).verdict.categories


def test_one_unit_has_no_others():
    data = known_data(0, (8,), [8, 4, 2, 1, 0.1, 0.1, 0.1, 0.1])
    vae = affine_vae(data, 1, 0.85, serving=[3])
    headline = tc.diagnose(vae.encode, vae.decode, data, gamma=0.85).verdict.headline
    assert headline.startswith("The only latent unit is weak (near the prior) although the loss would be lower if it")
    few = np.random.default_rng(0).normal(size=(60, 5))
    assert "too few for 1 latent unit" in best(few, 1, 3.0).verdict.next_step


def test_a_table_of_uint8_is_said_to_be_divided_by_255():
    ages = np.random.default_rng(0).integers(18, 90, (2_000, 3), dtype=np.uint8)
    assert "uint8 divided by 255" in words(tc.diagnose(encode_ages, decode_ages, ages))


def encode_ages(x):
    return x[:, :2], np.full((len(x), 2), -3.0)


def decode_ages(z):
    return np.concatenate([z, z[:, :1]], axis=1)


def test_a_negative_seed_is_refused():
    with pytest.raises(tc.ConfigError, match="seed: expected a whole number >= 0, received -1"):
        best(FLAT, 2, 1.0, seed=-1)


@pytest.mark.parametrize(("units", "category"), [(3, "in use"), (5, "healthy")])
def test_small_columns_of_which_a_unit_codes_a_little_are_named(units, category):
    """Two of eleven columns are 100 times as large; the others are three threes, alike within, that correlate by 0.2.

    A third unit codes 47% of each of the nine; with columns of variance 1, three units would code all of the nine.
    """
    random = np.random.default_rng(0)
    common, threes = random.normal(size=(20_000, 1)), random.normal(size=(20_000, 3))
    small = np.repeat(np.sqrt(0.2) * common + np.sqrt(0.8) * threes, 3, axis=1)
    small += 0.1 * random.normal(size=small.shape)
    table = np.concatenate([100 * random.normal(size=(20_000, 2)), small], axis=1)
    vae = affine_vae(table, units, 0.05)
    found = tc.diagnose(vae.encode, vae.decode, table, gamma=0.05)
    assert found.verdict.categories == (category,)
    assert found.measurements.unreconstructed[0] == (9 if units == 3 else 0)


def test_the_thresholds_are_the_reader_s_to_move():
    strict = Thresholds(second_moment=1e-6)
    assert tc.diagnose(encode, decode, IMAGES, GAMMA, thresholds=strict).verdict.categories == ("not trained",)

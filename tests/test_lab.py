import dataclasses
import json

import numpy as np
import pytest
from examples import table_row, tiny
from processes import ROOT, command

from tfcollapse.cli.main import main
from tfcollapse.config.declaration import Data, Network, Objective, Run, Training
from tfcollapse.data.dataset import MINI, load
from tfcollapse.errors import ConfigError
from tfcollapse.lab import affine as affine_lab
from tfcollapse.lab import gamma_balance, prop4
from tfcollapse.lab.collapsed_unit import UnitHessian, collapse, set_unit, unit_gradient
from tfcollapse.lab.containment import embed
from tfcollapse.lab.equations import equations_section
from tfcollapse.lab.float64 import in_float64
from tfcollapse.lab.gamma_balance import collapse_all
from tfcollapse.lab.killed_units import KILLED, NO_WAY_OUT, START, UNDECIDED, USED, killed_units, kind, kinds
from tfcollapse.lab.killed_units import _killed as killed_rows
from tfcollapse.lab.optimal_posterior import DecoderResponse
from tfcollapse.models.build import build
from tfcollapse.records import gaps
from tfcollapse.records.files import read_json
from tfcollapse.records.run_directory import read_config
from tfcollapse.records.table import read_table, write_table
from tfcollapse.reports import theory_page as findings
from tfcollapse.theory import affine, affine_decoder, stationary
from tfcollapse.theory.affine import Spectrum
from tfcollapse.theory.known_images import known_images
from tfcollapse.training.in_memory import train_in_memory
from tfcollapse.training.trainer import train


def _images(count, shape=(6, 6, 1), seed=0):
    return np.random.default_rng(seed).uniform(size=(count, *shape))


def _vae(depth=2, width=16, latent_dim=4, shape=(6, 6, 1)):
    return build(Run(network=Network(depth=depth, width=width, latent_dim=latent_dim)), shape)


def test_depth_0_is_the_affine_vae():
    model = _vae(depth=0)
    latents = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    zero = np.zeros_like(latents)
    affine_sum = (
        np.array(model.decode(latents[:1])) + np.array(model.decode(latents[1:2])) - np.array(model.decode(zero[:1]))
    )
    assert np.array(model.decode(latents[:1] + latents[1:2])) == pytest.approx(affine_sum, abs=1e-5)
    # flatten and reshape hold no parameters: the pixels' weights and two heads
    assert model.count_params() == (4 * 36 + 36) + 2 * (36 * 4 + 4) + 1


def test_the_designed_images_have_the_designed_spectrum():
    images = known_images(affine_lab._KNOWN, seed=3)
    found = affine.spectrum(images.reshape(len(images), -1) / 255.0)
    # rounding to 1/255 adds (1/255)^2 / 12 = 1.3e-6 to each eigenvalue; a few pixels in a thousand are clipped
    assert found.eigenvalues == pytest.approx(np.sort(affine_lab._KNOWN)[::-1], rel=2e-3, abs=1e-5)


def test_the_lab_trains_as_the_trainer_does(finished):
    images = load(Data(name=MINI, train=200)).train
    model, metrics = train_in_memory(read_config(finished), images)
    rows = (finished / "metrics.csv").read_text().splitlines()
    names = rows[0].split(",")
    last = dict(zip(names, rows[-1].split(","), strict=True))
    assert len(metrics) == len(rows) - 1
    assert metrics[-1]["reconstruction_error"] == pytest.approx(float(last["reconstruction_error"]), rel=1e-6)
    assert model.variational


def test_a_short_training_of_the_affine_vae_fails_the_checks_that_a_long_one_passes():
    images = known_images(affine_lab._KNOWN, 0)
    known = Spectrum.of(affine_lab._KNOWN)
    run = affine_lab._synthetic_run(0)
    short = dataclasses.replace(run, training=Training(steps=300, learning_rate=1e-3))
    failed = [
        check.claim for check in affine_lab._trained("short", images, known, short, {}) if check.verdict == "fails"
    ]
    assert any("gamma*" in claim for claim in failed)
    assert any("principal angle" in claim for claim in failed)


def test_a_copy_in_float64_computes_the_same():
    model = _vae()
    copy = in_float64(model)
    images = _images(5)
    mean, log_variance = copy.encode(images)
    assert np.asarray(mean).dtype == np.asarray(log_variance).dtype == np.float64
    assert np.asarray(mean) == pytest.approx(np.asarray(model.encode(images.astype(np.float32)).mean), abs=1e-5)
    assert np.asarray(build(tiny(), (6, 6, 1)).encode(images.astype(np.float32)).mean).dtype == np.float32


@pytest.mark.parametrize(
    "network",
    [
        Network(depth=1, width=8, latent_dim=3),
        Network(architecture="skip_dense", depth=3, width=8, latent_dim=3),
        Network(architecture="residual_dense", depth=3, width=8, latent_dim=3),
        Network(architecture="skip_dense", depth=2, width=8, latent_dim=3, norm="layer"),
        Network(architecture="convolutional", depth=1, base_channels=1, latent_dim=3),
        Network(architecture="residual", depth=1, base_channels=1, latent_dim=3),
        Network(
            architecture="residual", depth=1, base_channels=1, latent_dim=3, batch_norm=True, shortcut="projection"
        ),
    ],
    ids=lambda network: f"{network.architecture}{'-normed' if network.batch_norm or network.norm != 'none' else ''}",
)
def test_a_collapsed_unit_is_stationary_only_with_its_biases_at_zero(network):
    shape = (6, 6, 1) if network.spec.fully_connected else (32, 32, 3)
    model, images = in_float64(build(Run(network=network), shape)), _images(3, shape)
    scale = unit_gradient(model, 1, images, 0.1).largest
    collapse(model, 1)
    assert unit_gradient(model, 1, images, 0.1).largest < 1e-12 * scale
    collapse(model, 1, mean_bias=0.1)
    found = unit_gradient(model, 1, images, 0.1)
    # 2 mu_z by the bias of the mean: the KL's own derivative, as no signal leaves the unit
    assert found.mean[-1] == pytest.approx(0.2, rel=1e-9)
    assert np.abs(found.decoder).max() > 1e-4 * scale
    collapse(model, 1, log_variance_bias=0.1)
    found = unit_gradient(model, 1, images, 0.1)
    assert found.log_variance[-1] == pytest.approx(np.exp(0.1) - 1, rel=1e-9)
    assert np.abs(found.decoder).max() < 1e-12 * scale  # z_j has mean 0 still


def test_the_unit_gradient_is_that_of_the_training_loss():
    # At a unit that is not collapsed the two nodes are one sample each: compare with loss_terms on the same noise.
    import tensorflow as tf

    model, images = in_float64(_vae()), _images(4)
    model.log_gamma.assign(np.log(0.3))
    noise = np.random.default_rng(5).standard_normal((4, 4))
    noise = np.concatenate([noise, noise])
    noise[:, 2] = np.repeat([1.0, -1.0], 4)
    with tf.GradientTape() as tape:
        terms = model.loss_terms(tf.constant(np.concatenate([images, images])), tf.constant(noise), 0)
        loss = tf.reduce_mean(terms.loss)
    kernel = model.decoder.body[0].kernel
    expected = tape.gradient(loss, kernel.value)[2]
    assert unit_gradient(model, 2, images, 0.3, seed=5).decoder == pytest.approx(np.asarray(expected), rel=1e-9)


@pytest.mark.parametrize("architecture", ["dense", "skip_dense", "residual_dense"])
def test_products_with_the_unit_hessian_are_differences_of_the_gradient(architecture):
    network = Network(architecture=architecture, depth=2, width=16, latent_dim=4)
    model, images = in_float64(build(Run(network=network), (6, 6, 1))), _images(6)
    hessian = UnitHessian(model, 2, images, gamma=0.2)
    direction = np.random.default_rng(0).standard_normal(hessian.size)
    if architecture == "skip_dense":  # set_unit moves the columns of several layers by one number
        direction[: hessian.sizes[0]] = 1.0
    decoder, *heads = np.split(direction, np.cumsum(hessian.sizes)[:-1])
    step = 1e-5

    def slope(share):
        parts = [share * part for part in heads]
        set_unit(model, 2, share * (1.0 if architecture == "skip_dense" else decoder), *parts)
        return np.concatenate(unit_gradient(model, 2, images, 0.2))

    assert np.abs(slope(0.0)).max() < 1e-12
    difference = (slope(step) - slope(-step)) / (2 * step)
    assert hessian.product(direction) == pytest.approx(difference, abs=1e-6 * np.abs(difference).max())
    along = hessian.along(direction)
    assert along.mean == pytest.approx(direction @ hessian.product(direction), rel=1e-12)
    assert along.of_images.shape == (6,)


def test_a_normalised_decoder_has_no_such_hessian():
    model = in_float64(build(Run(network=Network(depth=2, width=16, latent_dim=4, norm="layer")), (6, 6, 1)))
    with pytest.raises(ConfigError, match="UnitHessian: expected a decoder without normalisation, .* 'layer'"):
        UnitHessian(model, 2, _images(6))


def test_the_critical_gamma_of_a_direction_is_where_its_best_rescaling_stops_to_fall():
    model, images = in_float64(_vae()), _images(40)
    hessian = UnitHessian(model, 2, images, gamma=1e-3)
    direction = stationary.curvature(hessian.product, hessian.size).direction
    critical = hessian.along(direction).critical_gamma
    assert hessian.along(direction).mean < 0 < critical

    scaled = []
    for share in np.geomspace(3e-2, 3e1, 40):  # the decoder's part against the encoder's
        moved = direction.copy()
        moved[: hessian.sizes[0]] *= share
        scaled.append(hessian.along(moved))
    lowest = [min(along._replace(gamma=share * critical).mean for along in scaled) for share in (0.95, 1.05)]
    assert lowest[0] < 0 < lowest[1]


def test_units_that_are_collapsed_together_have_one_hessian():
    model, images = in_float64(_vae()), _images(6)
    for unit in (0, 2):
        collapse(model, unit)
    direction = np.random.default_rng(0).standard_normal(UnitHessian(model, 0, images).size)
    products = [UnitHessian(model, units, images).product(direction) for units in (0, 2, (0, 2))]
    assert products[0] == pytest.approx(products[1], rel=1e-12)
    assert products[0] == pytest.approx(products[2], rel=1e-12)
    alone = UnitHessian(in_float64(_vae()), 0, images).product(direction)
    assert np.abs(alone - products[0]).max() > 1e-3 * np.abs(alone).max()


def test_a_killed_unit_is_inactive_and_sends_nothing():
    model, images = in_float64(_vae()), _images(50)
    assert killed_units(model, images)[0] == []
    collapse(model, 1)
    assert killed_units(model, images)[0] == [1]
    collapse(model, 1, mean_bias=0.2)  # 0.02 nats
    units, kl = killed_units(model, images)
    assert units == []
    assert kl[1] == pytest.approx(0.02, rel=1e-9)
    # at the prior, but its column adds noise to every reconstruction
    set_unit(model, 1, 1.0, 0.0, 0.0, 0.0, 0.0)
    assert killed_units(model, images)[0] == []


def test_a_killed_unit_s_direction_is_found_with_the_other_killed_units_as_they_are():
    model, (images, unseen) = in_float64(_vae()), np.split(_images(60), 2)
    kl = np.array([3.0, 0.002, 3.0, 0.001])
    rows = killed_rows(Run(), model, [1, 3], kl, images, unseen)
    alone, both = (UnitHessian(model, units, images) for units in (3, (1, 3)))
    ends = [stationary.curvature(one.product, one.size) for one in (alone, both)]
    assert [row["lowest"] for row in rows] == pytest.approx([ends[0].lowest] * 2, rel=0.02)
    assert [row["together_lowest"] for row in rows] == pytest.approx([ends[1].lowest] * 2, rel=0.02)
    assert abs(ends[0].lowest - ends[1].lowest) > 0.1 * abs(ends[0].lowest)
    for row, unit in zip(rows, (1, 3), strict=True):
        own = UnitHessian(model, unit, unseen, alone.gamma).along(ends[0].direction)
        assert (row["unseen"], row["gamma"]) == (pytest.approx(own.mean, rel=0.05), alone.gamma)
    beyond = UnitHessian(model, (1, 3), unseen, both.gamma).along(ends[1].direction)
    assert rows[0]["together"] == pytest.approx(beyond.mean, rel=0.05)


def test_a_network_that_was_not_trained_has_no_killed_units_and_is_left_out():
    run, images = Run(network=Network(depth=2, width=16, latent_dim=4)), _images(50)
    rows = kinds(run, build(run, (6, 6, 1)), images[:25], images[25:])
    assert [row["when"] for row in rows] == [START]


def test_a_unit_within_two_standard_errors_is_undecided():
    assert [kind(value, 0.1) for value in (-0.21, -0.19, 0.0, 0.19, 0.21)] == [
        stationary.SADDLE,
        *[UNDECIDED] * 3,
        NO_WAY_OUT,
    ]
    assert [kind(value, float("nan")) for value in (-1.0, 1.0)] == [UNDECIDED] * 2  # of one image


def test_the_headline_counts_the_units_that_training_killed_alone():
    def row(depth, when, unseen):
        numbers = {
            "lowest": -1.0,
            "error": 0.01,
            "unseen": unseen,
            "unseen_error": 0.1,
            "together_lowest": -3.0,
            "together_lowest_error": 0.01,
            "together": -2.0,
            "together_error": 0.3,
            "critical_gamma": 3.0,
            "column": 0.2,
        }
        return {"depth": depth, "when": when, "kind": kind(unseen, 0.1), "gamma": 0.5, **numbers}

    rows = [row(1, START, -1.0), row(1, USED, -1.0), row(6, KILLED, -1.0), row(6, KILLED, 1.0), row(8, KILLED, -1.0)]
    rows.append(row(8, KILLED, -0.19))
    headline, lowest, scores, room, columns, together, start, used = prop4._answers(rows)
    assert headline.measured == "2 of 4, 1 undecided (6: 1 of 2; 8: 1 of 2, 1 undecided); networks: 2"
    assert {headline.verdict, lowest.verdict, together.verdict, used.verdict} == {"measured"}
    assert together.measured == "6: -3, -2 +- 0.3; 8: -3, -2 +- 0.3"
    assert (lowest.measured, scores.measured) == ("6: -1; 8: -1", "6: -10 to 10; 8: -10 to -1.9")
    assert room.measured == "6: 6; 8: 6"
    assert (columns.measured, columns.verdict) == ("6: 0.2; 8: 0.2", "holds")
    assert (START in start.claim, USED in used.claim) == (True, True)
    assert prop4._answers(rows[:2])[0].verdict == "does not apply"
    assert prop4._answers([rows[2] | {"column": 1.2}])[4].verdict == "fails"


def test_at_full_collapse_gamma_moves_no_weight_but_decides_whether_there_is_a_way_out():
    """Section 5.2 and section 4: an affine decoder's critical gamma is the data's largest eigenvalue."""
    images = _images(200)
    model = in_float64(_vae(depth=0))
    collapse_all(model, images)
    assert np.asarray(model.decode(np.ones((1, 4))))[0] == pytest.approx(images.mean(axis=0), abs=1e-12)
    hessian = UnitHessian(model, range(4), images)
    whole = np.array([hessian.product(row) for row in np.eye(hessian.size)])
    top = affine.spectrum(images.reshape(200, -1)).eigenvalues[0]
    critical = gamma_balance._critical_gamma(whole, hessian)
    assert critical == pytest.approx(top, rel=1e-9)
    assert gamma_balance._lowest(whole, hessian, 0.99 * top) < 0
    assert gamma_balance._lowest(whole, hessian, 1.01 * top) > -1e-12
    for gamma in (0.01 * top, top, 100 * top):
        assert unit_gradient(model, 1, images, gamma).largest < 1e-12 / gamma
        exact = UnitHessian(model, range(4), images, gamma)
        assert gamma_balance._at(whole, hessian, gamma)[5] == pytest.approx(
            exact.product(np.eye(exact.size)[5]), rel=1e-9
        )


def test_the_checks_of_full_collapse_hold_of_a_small_vae_one_of_whose_units_does_nothing():
    model, images = in_float64(_vae()), _images(60)
    for variable in model.trainable_variables:  # biases at 0 are kinks of the decoder at z = 0
        variable.assign(variable + 0.2 * np.random.default_rng(0).standard_normal(variable.shape))
    collapse(model, 0)  # the scale of the derivatives must be an active unit's
    checks, curves = gamma_balance._derivatives(model, images), {}
    checks += gamma_balance._way_out(model, images, _images(60, seed=1), curves)
    assert [check.verdict for check in checks] == ["holds"] * 4
    assert curves["gamma"]["critical"] < affine.spectrum(images.reshape(60, -1)).eigenvalues[0] / images.var(0).mean()


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (Network(depth=2, width=64), Network(depth=6, width=64)),
        (
            Network(architecture="skip_dense", depth=1, width=32, latent_dim=8),
            Network(architecture="skip_dense", depth=4, width=32, latent_dim=8),
        ),
        (
            Network(architecture="residual_dense", depth=1, width=32, latent_dim=8),
            Network(architecture="residual_dense", depth=4, width=32, latent_dim=8),
        ),
        (
            Network(architecture="residual_dense", depth=2, width=32, latent_dim=8, norm="layer"),
            Network(architecture="residual_dense", depth=4, width=32, latent_dim=8, norm="layer"),
        ),
        (
            Network(architecture="convolutional", depth=1, base_channels=4),
            Network(architecture="convolutional", depth=4, base_channels=4),
        ),
        (
            Network(architecture="residual", depth=1, block_depth=2, base_channels=2),
            Network(architecture="residual", depth=2, block_depth=4, base_channels=2, shortcut="identity"),
        ),
    ],
    ids=lambda network: f"{network.architecture}-{network.depth}",
)
def test_a_deeper_network_contains_the_shallower_one_exactly(small, large):
    shape = (6, 6, 1) if small.spec.fully_connected else (16, 16, 1)
    smaller, larger = (build(Run(network=network), shape) for network in (small, large))
    random = np.random.default_rng(0)
    for variable in smaller.trainable_variables:
        variable.assign(variable + 0.1 * random.standard_normal(variable.shape))
    embed(smaller, larger)
    images, noise = _images(5, shape).astype(np.float32), random.standard_normal((5, smaller.latent_dim))
    outputs = [np.asarray(model.reconstruct(images, noise.astype(np.float32))) for model in (smaller, larger)]
    assert np.ptp(outputs[0]) > 0.1
    assert (outputs[0] == outputs[1]).all()
    assert float(larger.gamma) == float(smaller.gamma) != 1.0


@pytest.mark.parametrize(
    ("small", "large", "message"),
    [
        (Network(depth=2), Network(depth=1), "a deeper network than the one with the layers encoder_2"),
        (Network(depth=1, width=8), Network(depth=2, width=16), "the same width or channels"),
        (Network(depth=1, latent_dim=4), Network(depth=2), "the same width or channels"),
        (Network(depth=1), Network(depth=1, norm="layer"), "the same width or channels and normalisation"),
        (Network(depth=1, norm="layer"), Network(depth=2, norm="layer"), "without layer normalisation, or with"),
    ],
)
def test_what_does_not_contain_it_is_refused(small, large, message):
    with pytest.raises(ValueError, match=message):
        embed(*(build(Run(network=network), (6, 6, 1)) for network in (small, large)))


def test_the_affine_unit_is_a_saddle_exactly_below_its_top_residual_eigenvalue():
    # Section 4: a collapsed unit can grow along directions that the others leave, iff their eigenvalue is above gamma.
    images = _images(60)
    points = images.reshape(60, -1)
    best = affine.optimum(points, 3)
    model = in_float64(_vae(depth=0))
    weights = np.zeros((4, 36))
    weights[:3] = best.weights.T
    model.decoder.body[0].kernel.assign(weights)
    model.decoder.body[0].bias.assign(best.bias)
    encoder = np.zeros((36, 4))
    encoder[:, :3] = best.encoder.T
    model.encoder.mean.kernel.assign(encoder)
    model.encoder.mean.bias.assign(-encoder.T @ best.bias)
    # The other units send their means without noise, as one draw of it would blur where the threshold lies.
    model.encoder.log_variance.kernel.assign(np.zeros((36, 4)))
    model.encoder.log_variance.bias.assign(np.full(4, -60.0))
    top = affine.spectrum(points).eigenvalues[3]
    kinds = []
    for share in (0.97, 1.03):
        hessian = UnitHessian(model, 3, images, gamma=share * top)
        kinds.append(stationary.curvature(hessian.product, hessian.size, steps=80).kind)
    assert kinds[0] == stationary.SADDLE
    assert kinds[1] != stationary.SADDLE


def test_the_best_posterior_found_by_descent_is_the_closed_form_of_an_affine_decoder():
    images = _images(12)
    model = _vae(depth=0, latent_dim=2)
    response = DecoderResponse(model, images, pairs=64)
    points = images.reshape(12, -1)
    weights = np.asarray(response.model.decoder.body[0].kernel).T
    # The constant is optimised too: for an affine decoder that centres the data, as the optimal bias does.
    exact = affine_decoder.affine_response(weights, points.mean(axis=0), points, 0.5)
    found = response.best(0.5)
    cost, wanted = found.f / 0.5 + 2 * found.kl, exact.f / 0.5 + 2 * exact.kl
    assert cost == pytest.approx(wanted, rel=0.02)  # 128 draws stand for the expectation


def test_latents_that_a_scale_cuts_off_are_at_the_prior():
    model = _vae(width=8, latent_dim=2)
    response = DecoderResponse(model, _images(6), pairs=2)
    low, high = response.staircase([1e-3, 1e4])
    assert low.collapsed().sum() == 0
    assert high.collapsed().all()


def test_trained_models_are_read_by_depth_and_a_folder_without_any_is_a_clear_mistake(tmp_path):
    unused = Objective(gamma="optimal", warmup_steps=7)
    for depth, objective in ((2, None), (1, unused)):
        run = tiny(jit="off", objective=objective)
        train(dataclasses.replace(run, network=Network(depth=depth, width=8, latent_dim=2)), tmp_path)
    warm = Objective(gamma="optimal", warmup="gamma", warmup_steps=7)
    for depth, objective in ((3, Objective(kind="ae")), (4, warm)):
        run = tiny(jit="off", objective=objective)
        train(dataclasses.replace(run, network=Network(depth=depth, width=8, latent_dim=2)), tmp_path)
    assert [run.network.depth for run, _ in prop4.trained_models(str(tmp_path))] == [1, 2]
    with pytest.raises(ValueError, match="--runs 'nowhere': expected run directories of finished dense VAEs"):
        prop4.trained_models("nowhere")


TABLE = "results/paper/fig1_left.csv"


TITLES = {"equations": "## Equations (8) and (10)", "prop1": "## The soft-threshold decoder (Proposition 1)"}


@pytest.mark.parametrize("name", TITLES)
def test_findings_are_redrawn_from_their_json_alone(name, tmp_path):
    section = read_json(ROOT / "results" / "theory" / f"{name}.json")
    findings.write_findings(tmp_path, section)
    findings.write(tmp_path)
    first = (tmp_path / "theory.md").read_text()
    assert TITLES[name] in first
    for check in section["checks"]:
        assert check["claim"].split("|")[0] in first
    (tmp_path / f"{name}.png").unlink()
    assert main(["figure", "--out", str(tmp_path)]) == 0
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert (tmp_path / "theory.md").read_text() == first


def test_a_check_that_fails_makes_the_command_fail(tmp_path, capsys):
    vae = {"objective": "VAE", "gamma_mode": "optimal", "gamma": 0.01, "run_id": "vae"}
    # an AE above its VAE, against eq. (8)
    rows = [table_row(train_error=0.02, gamma=None), table_row(train_error=0.01, **vae)]
    write_table(tmp_path / "fig1_left.csv", rows)
    table = str(tmp_path / "fig1_left.csv")
    assert main(["theory", "equations", "--table", table, "--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "tfcollapse: 1 of 2 checks fail" in said.err
    assert "fails          eq. (8)" in said.out
    assert "does not apply eq. (10)" in said.out


@pytest.mark.parametrize(("gamma", "verdict"), [(0.0104, "holds"), (0.02, "fails")])
def test_a_gamma_that_stands_still_away_from_the_error_fails(gamma, verdict, tmp_path):
    learned = {"objective": "VAE", "gamma_mode": "learned", "gamma": gamma, "gamma_pace": 0.0, "run_id": "vae"}
    write_table(tmp_path / "fig1_left.csv", [table_row(train_error=0.01, **learned)])
    check = equations_section(str(tmp_path / "fig1_left.csv")).checks[1]
    assert (check.claim[:8], check.verdict) == ("eq. (10)", verdict)


def compare(out):
    return ["theory", "equations", "--json", "--table", TABLE, "--out", str(out)]


def check_pairs(text, out):
    (section,) = json.loads(text)
    assert [check["verdict"] for check in section["checks"]] == ["holds", "holds"]
    assert len(section["curves"]["error"]) == len(gaps.pairs(read_table(ROOT / TABLE)))
    assert (out / "equations.pdf").exists()


def test_the_command_prints_json_alone_and_compares_pairs_of_a_table(tmp_path, capsys):
    assert main(compare(tmp_path / "o")) == 0
    check_pairs(capsys.readouterr().out, tmp_path / "o")


@pytest.mark.slow
def test_the_command_prints_json_alone_in_a_process_of_its_own(tmp_path):
    answer = command(*compare(tmp_path / "o"))
    assert (answer.returncode, answer.stderr.count("\n")) == (0, 1), answer.stderr
    check_pairs(answer.stdout, tmp_path / "o")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["equations"], "equations: expected --table CSV"),
        (["equations", "--table", "nowhere.csv"], "'nowhere.csv': there is no such file"),
        (["prop4", "--images", "2"], "--images: expected >= 30, received 2"),
        (["prop4", "--seed", "-1"], "--seed: expected >= 0, received -1"),
        (["affine", "--data", "fashion_mnits"], "unknown dataset 'fashion_mnits'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments, message, tmp_path, capfd):
    assert main(["theory", *arguments, "--out", str(tmp_path / "out")]) == 2
    said = capfd.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "out").exists()

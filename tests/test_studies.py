"""Figures and claims of the studies beside the depth sweep of test_figures."""

import math

import pytest
from examples import table_row
from real_data import real_data

from tfcollapse.claims import depth_claims, gamma_claims, initialisation_claims, residual_claims, sigma_claims
from tfcollapse.claims.claim import MEASURED, NOT_REPRODUCED, NOT_RUN, REPRODUCED, TOO_CLOSE
from tfcollapse.cli import main as cli
from tfcollapse.config.objective import Objective
from tfcollapse.figures import depth_figure, gamma_figure, initialisation_figure, residual_figure, sigma_figure
from tfcollapse.figures.style import STYLES, caption
from tfcollapse.metrics.posterior import SIGMA_BINS
from tfcollapse.records.narrowing import narrowing
from tfcollapse.records.relative_errors import relative_errors
from tfcollapse.records.table import read_table, write_table
from tfcollapse.reports import study_page as report
from tfcollapse.reports.markdown import markdown
from tfcollapse.studies.study import load_study


def residual_rows(errors):
    """{dataset: {(b, c): error}} as a table; None is a run that failed."""
    return [
        table_row(
            run_id=f"{dataset}-{b}-{c}",
            architecture="residual",
            base_channels=8,
            dataset=dataset if error is None else f"{dataset} 1.0.0",
            depth=b,
            block_depth=c,
            status="finished" if error else "failed",
            train_error=error,
            test_error=error,
            mean_predictor_error=1.0,
        )
        for dataset, cells in errors.items()
        for (b, c), error in cells.items()
    ]


TWO = {
    "svhn": {(1, 2): 0.01, (1, 3): 0.02, (2, 2): 0.01, (2, 3): 0.03},
    "cifar10": {(1, 2): 0.1, (1, 3): 0.1, (2, 2): 0.2, (2, 3): 0.2},
}


def test_each_dataset_is_divided_by_its_own_shallowest_cell_then_averaged():
    cells = relative_errors(residual_rows(TWO))
    assert cells[1, 2] == {"svhn": 1.0, "cifar10": 1.0}
    assert cells[2, 3] == pytest.approx({"svhn": 3.0, "cifar10": 2.0})
    axes = residual_figure(residual_rows(TWO)).axes[0]
    drawn = {container.get_label(): container for container in axes.containers}
    assert list(drawn["blocks a scale: 2"].lines[0].get_ydata()) == pytest.approx([1.5, 2.5])
    low, high = drawn["blocks a scale: 2"].lines[2][0].get_segments()[1][:, 1]
    assert high - low == pytest.approx(2 * math.sqrt(0.5))  # one sd of (3, 2) to either side


def test_a_cell_that_lacks_a_dataset_is_missing_and_not_a_mean_over_fewer():
    broken = {**TWO, "svhn": TWO["svhn"] | {(2, 3): None}}
    axes = residual_figure(residual_rows(broken)).axes[0]
    drawn = {container.get_label(): container.lines[0] for container in axes.containers}
    assert drawn["blocks a scale: 2"].get_ydata()[0] == pytest.approx(1.5)
    assert math.isnan(drawn["blocks a scale: 2"].get_ydata()[1])
    no_base = {**TWO, "svhn": TWO["svhn"] | {(1, 2): None}}
    assert {name for cell in relative_errors(residual_rows(no_base)).values() for name in cell} == {"cifar10"}
    claims = residual_claims(residual_rows(no_base))
    assert [claim.verdict for claim in claims] == [NOT_RUN] * 3
    assert "b = 2, by c 2: 2.000, 3: 2.000 (over 1 of 2 data sets: those with an error at (1, 2))" in claims[0].evidence


def test_an_error_of_0_divides_nothing():
    rows = [
        row | {"train_error": 0.0 if row["run_id"] == "svhn-1-2" else row["train_error"]} for row in residual_rows(TWO)
    ]
    assert relative_errors(rows)[2, 3] == {"cifar10": 2.0}
    assert len(residual_claims(rows)) == 3


def test_residual_claims_follow_the_table():
    def verdicts(factors):
        """Of four data sets whose cells are these multiples of the first, up to 3%."""
        table = {
            f"data{i}": {cell: 0.01 * (i + 1) * factor * (1 + 0.01 * i) for cell, factor in factors.items()}
            for i in range(4)
        }
        table["data0"][1, 2] *= 1.02
        return [claim.verdict for claim in residual_claims(residual_rows(table))]

    assert verdicts({(1, 2): 1.0, (1, 3): 1.2, (2, 2): 1.3, (2, 3): 1.5}) == [REPRODUCED] * 3
    assert verdicts({(1, 2): 1.0, (1, 3): 0.8, (2, 2): 0.7, (2, 3): 0.5}) == [NOT_REPRODUCED] * 3
    # Three convolutions are worse in one block, and better in two.
    assert verdicts({(1, 2): 1.0, (1, 3): 1.2, (2, 2): 0.8, (2, 3): 0.6}) == [TOO_CLOSE, NOT_REPRODUCED, NOT_REPRODUCED]


def test_an_error_that_rises_after_a_fall_can_be_increased_by_depth():
    def verdict(*errors):
        """Of four data sets: on the first one an even number of convolutions is worse by half a percent."""
        table = {
            f"data{i}": {
                (1, c): e * (i + 1) * (1.005 if i == 0 and c % 2 == 0 else 1) for c, e in enumerate(errors, start=2)
            }
            for i in range(4)
        }
        return residual_claims(residual_rows(table))[0].verdict

    assert verdict(0.10, 0.09, 0.08, 0.085) == REPRODUCED
    assert verdict(0.10, 0.08, 0.08, 0.10) == REPRODUCED
    assert verdict(0.10, 0.09, 0.08, 0.0802) == TOO_CLOSE
    assert verdict(0.10, 0.09, 0.08, 0.07) == NOT_REPRODUCED


def test_the_deepest_networks_are_compared_over_data_sets_and_not_over_seeds():
    def deepest(ratios, broken=()):
        table = {f"data{i}": {(1, 2): 0.01, (2, 3): 0.01 * ratio} for i, ratio in enumerate(ratios)}
        rows = [
            row | {"seed": seed, "run_id": f"{row['run_id']}-{seed}", "train_error": row["train_error"] + 1e-6 * seed}
            for row in residual_rows(table)
            for seed in range(3)
        ]
        absent = {"train_error": None, "status": "unfinished"}
        return residual_claims([row | (absent if row["dataset"].split()[0] in broken else {}) for row in rows])[2]

    assert deepest((1.2, 1.05, 1.03, 0.98)).verdict == TOO_CLOSE
    assert "over 4 data sets" in deepest((1.2, 1.05, 1.03, 0.98)).evidence
    assert deepest((1.2, 1.15, 1.13, 1.18)).verdict == REPRODUCED
    assert deepest((0.9, 0.95, 0.93, 0.88)).verdict == NOT_REPRODUCED
    part = deepest((0.9, 0.95, 0.93, 0.88), broken=("data1", "data2", "data3"))
    assert (part.verdict, "over 3 seeds of 1 data set;" in part.evidence) == (NOT_RUN, True)


def test_the_caption_says_what_was_narrowed():
    text = caption(residual_rows(TWO))
    assert "8 channels at 32x32 where the paper has 64" in text
    assert "svhn 1.0.0: 60,000 training images, cifar10 1.0.0: 60,000 training images" in text
    full = [row | {"base_channels": 64} for row in residual_rows(TWO)]
    assert "channels" not in caption(full)


def test_every_way_in_which_a_study_is_narrowed_is_said():
    assert narrowing([table_row(train_error=0.01)]) == "nothing"
    assert narrowing([table_row(status="failed")]) == "no finished run"
    learned = {"objective": "VAE", "gamma_mode": "learned", "gamma_start": 1.0}
    assert narrowing([table_row(**learned)]) == "nothing"
    assert narrowing([table_row(**learned | {"gamma_start": 0.01})]) == "gamma learned from 0.01"
    narrow = {
        "objective": "VAE",
        "gamma_mode": "optimal",
        "architecture": "convolutional",
        "base_channels": 8,
        "dataset": "celeb_a 2.1.0",
        "image_shape": "32x32x3",
        "train_images": 3600,
        "steps": 1000,
        "halve_every": 400,
    }
    assert narrowing([table_row(**narrow)]) == (
        "8 channels at 32x32 where the paper has 64; images 32x32x3 where the paper has 64x64; "
        "3,600 images of celeb_a where the paper trains on 162,770; gamma in closed form (eq. (10)) on each batch; "
        "1,000 steps where the paper has 250,000"
    )
    assert narrowing([table_row(dataset="tiny_imagenet 1.0.0")]) == "tiny_imagenet is no data set of the paper"
    mini = table_row(dataset="fashion_mnist_mini (Fashion-MNIST 3.0.1)", train_images=500)
    assert narrowing([mini]) == "500 images of fashion_mnist where the paper trains on 60,000"


def test_settings_that_no_run_has_as_the_paper_are_said():
    he, plain = table_row(initializer="he_normal", latent_dim=8), table_row(latent_dim=8)
    assert narrowing([he]) == "latent dim 8 instead of 64; initializer he_normal instead of glorot_uniform"
    assert narrowing([he, plain]) == "latent dim 8 instead of 64"  # the study compares the starts
    assert narrowing([table_row(learning_rate=1e-3, epsilon=1e-7)]) == (
        "learning rate 0.001 instead of 0.0002; epsilon 1e-07 instead of 1e-08"
    )
    assert narrowing([table_row(halve_every=50_000)]) == (
        "learning rate halved after 20% of the steps (the paper: after 40%)"
    )
    assert narrowing([table_row(halve_every=250_000)]) == "learning rate never halved (the paper: after 40%)"
    assert "\ninitializer he_normal instead of glorot_uniform" in caption([table_row(initializer="he_normal")])


def test_the_caption_says_what_was_narrowed_of_each_architecture():
    dense = [table_row(width=width, train_error=0.01) for width in (512, 100)]
    skip = [row | {"architecture": "skip_dense"} for row in dense]
    assert "\n100 units in a hidden layer where the paper has 512; images 28x28x1" in caption(dense)
    assert caption([*dense, *skip]).count("where the paper has") == 1
    assert caption([*dense, *residual_rows(TWO)]).count("where the paper has") == 2
    assert "where the paper has" not in caption(dense[:1])


def sigma_rows(shares):
    """{depth: share of sigma_z above 0.9}, the rest at 0."""
    size = len(SIGMA_BINS) - 1
    return [
        table_row(
            objective="VAE",
            architecture="convolutional",
            gamma_mode="optimal",
            depth=depth,
            train_error=0.01 * depth,
            gamma=0.01 * depth,
            active_units=round(64 * (1 - share)),
            sigma_histogram=[1 - share] + [0.0] * (size - 2) + [share],
            **{"sigma_above_0.9": share},
        )
        for depth, share in shares.items()
    ]


def test_each_panel_shows_its_histogram_share_and_units():
    figure = sigma_figure(sigma_rows({2: 0.25, 4: 0.75}))
    for axes, share, units in zip(figure.axes, (0.25, 0.75), (48, 16), strict=True):
        values = axes.patches[0].get_data().values
        assert (values[0], values[-1]) == pytest.approx((1 - share, share))
        text = axes.get_title(loc="left")
        assert f"sigma_z > 0.9: {share:.1%}" in text
        assert f"active units: {units} of 64" in text
    missing = [row | {"sigma_histogram": None} if row["depth"] == 4 else row for row in sigma_rows({2: 0.2, 4: 0.7})]
    assert sigma_figure(missing).axes[1].get_title(loc="left").endswith("missing")


def test_sigma_claims_follow_the_table():
    def verdicts(shares, seeds=2):
        rows = [{**row, "seed": seed} for row in sigma_rows(shares) for seed in range(seeds)]
        return [claim.verdict for claim in sigma_claims(rows)]

    assert verdicts({2: 0.1, 4: 0.5, 5: 0.9}) == [REPRODUCED, REPRODUCED, NOT_RUN]
    assert verdicts({2: 0.9, 4: 0.5, 5: 0.1})[1] == NOT_REPRODUCED
    assert verdicts({2: 0.1, 4: 0.5, 5: 0.9}, seeds=1) == [TOO_CLOSE, TOO_CLOSE, NOT_RUN]  # one order of six
    assert verdicts({2: 0.1}) == [NOT_RUN] * 3


def gamma_rows(units, affine, mode="fixed"):
    return [
        table_row(
            run_id=f"{mode}-{depth}-{gamma}",
            objective=f"VAE (gamma {gamma})",
            gamma_mode=mode,
            gamma_start=gamma,
            gamma=gamma,
            depth=depth,
            active_units=count,
            train_error=0.02 + gamma / 1000,
            affine_active_units=affine[gamma],
            affine_error=0.01 + gamma / 1000,
        )
        for depth, by_gamma in units.items()
        for gamma, count in by_gamma.items()
    ]


AFFINE = {0.1: 60, 1.0: 20, 10.0: 2}


def test_gamma_claims_follow_the_table():
    rows = gamma_rows({2: {0.1: 60, 1.0: 18, 10.0: 0}, 4: {0.1: 30, 1.0: 4, 10.0: 0}}, AFFINE)
    assert [claim.verdict for claim in gamma_claims(rows)] == [*[REPRODUCED] * 3, NOT_REPRODUCED, *[NOT_RUN] * 3]
    rising = gamma_rows({2: {0.1: 10, 1.0: 18, 10.0: 30}, 4: {0.1: 9, 1.0: 17, 10.0: 30}}, AFFINE)
    verdicts = [claim.verdict for claim in gamma_claims(rising)]
    assert verdicts == [NOT_REPRODUCED, REPRODUCED, NOT_RUN, NOT_REPRODUCED, *[NOT_RUN] * 3]


def test_units_that_stay_all_active_are_no_support_for_pruning():
    flat = gamma_claims(gamma_rows(dict.fromkeys((2, 4), {0.1: 64, 1.0: 64, 10.0: 64}), AFFINE))
    assert flat[0].verdict == TOO_CLOSE
    assert flat[4].evidence == "no run learns gamma"
    units = {0.01: 64, 0.1: 63, 1.0: 62, 3.0: 61, 10.0: 60}
    assert gamma_claims(gamma_rows({2: units}, units))[0].verdict == TOO_CLOSE
    assert gamma_claims(gamma_rows({2: units | {10.0: 30}}, units))[0].verdict == REPRODUCED


def test_vaes_of_a_fixed_gamma_are_judged_and_drawn_as_vaes():
    free = sigma_rows({2: 0.1, 4: 0.5})
    fixed = [row | {"objective": "VAE (gamma 0.01)", "gamma_mode": "fixed"} for row in free]
    assert sigma_claims(fixed)[:2] == sigma_claims(free)[:2]
    (drawn,) = depth_figure(fixed).axes[0].containers
    assert drawn.lines[0].get_marker() == STYLES["VAE"]["marker"]


def test_the_caption_says_what_the_bars_are():
    seeds = [row | {"seed": seed} for row in residual_rows(TWO) for seed in (0, 1)]
    assert "2 seeds, bars: one sd over datasets" in residual_figure(seeds).texts[0].get_text()
    assert "bars" not in sigma_figure(sigma_rows({2: 0.25})).texts[0].get_text()
    assert "1 seed\n" in initialisation_figure(initialisation_rows(STARTS)).texts[0].get_text() + "\n"
    assert "beta 4.0" in caption([row | {"beta": 4.0} for row in sigma_rows({2: 0.25})])


def test_the_page_counts_the_seeds_that_finished():
    rows = [table_row(seed=seed, train_error=0.01, test_error=0.01) for seed in (0, 1)]
    rows.append(table_row(seed=2, status="failed", train_error=None, test_error=None))
    assert "| AE | 2 | 2 of 3 | 0.01 +- 0 |" in markdown(report.page("fig1_left", load_study("fig1_left"), rows))


def test_the_page_names_each_schedule():
    vae = {"gamma_mode": "learned", "gamma": 0.01, "train_error": 0.01, "test_error": 0.01, "warmup_steps": 800}
    declared = [
        Objective(warmup="kl", kl_constraint="free_bits"),
        Objective(warmup="cyclical"),
        Objective(warmup="hold_gamma", importance_samples=5),
        Objective(kl_constraint="capacity"),
    ]
    rows = [table_row(run_id=each.label, objective=each.label, warmup=each.warmup, **vae) for each in declared]
    page = markdown(report.page("fig1_left", load_study("fig1_left"), [table_row(train_error=0.01), *rows]))
    schedules = [
        "KL warm-up over 800 steps",
        "cyclical KL in cycles of 800 steps",
        "gamma held over 800 steps",
        "capacity over 800 steps",
    ]
    assert f"| schedules | {'; '.join(schedules)} |" in page


def test_the_gamma_figure_draws_lines_for_fixed_points_for_free_and_the_prediction_beside():
    fixed = gamma_rows({2: {0.1: 60, 1.0: None, 10.0: 0}}, AFFINE)
    free = gamma_rows({2: {0.5: 33}}, {0.5: 40}, mode="learned")
    axes = gamma_figure(fixed + free).axes[0]
    drawn = {container.get_label(): container.lines[0] for container in axes.containers}
    assert list(drawn["depth 2, gamma fixed"].get_xdata()) == [0.1, 1.0, 10.0]
    assert math.isnan(drawn["depth 2, gamma fixed"].get_ydata()[1])
    assert list(drawn["affine VAE at the same gamma"].get_ydata()) == [60, 20, 2]
    (star,) = [line for line in axes.lines if line.get_label() == "gamma learned"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (0.5, 33)


def initialisation_rows(errors):
    """{start: {depth: error}}; the signal halves at every layer."""
    return [
        table_row(
            run_id=f"{start}-{depth}",
            initializer=start,
            depth=depth,
            train_error=error,
            encoder_signal=[2.0**-i for i in range(depth + 1)],
            decoder_signal=[2.0 ** -(depth + 1 + i) for i in range(depth + 1)],
        )
        for start, by_depth in errors.items()
        for depth, error in by_depth.items()
    ]


STARTS = {"glorot_uniform": {1: 0.009, 2: 0.008, 4: 0.02}, "he_normal": {1: 0.009, 2: 0.008, 4: 0.007}}


def test_initialisation_claims_judge_the_shape_from_each_start_and_why_deep_aes_are_bad():
    claims = initialisation_claims(initialisation_rows(STARTS))
    assert [claim.verdict for claim in claims] == [TOO_CLOSE, TOO_CLOSE, NOT_REPRODUCED, MEASURED]
    assert "glorot_uniform" in claims[0].text
    assert "a He start leaves -32.0%, less than half, so the cause is the start" in claims[2].evidence
    assert f"4: {2.0**-9:.2g}" in claims[-1].evidence


def test_the_initialisation_figure_shows_the_deepest_network_s_signal():
    errors, signals = initialisation_figure(initialisation_rows(STARTS)).axes
    assert {container.get_label() for container in errors.containers} == set(STARTS)
    (line,) = [line for line in signals.lines if line.get_label() == "he_normal"]
    assert list(line.get_ydata()) == [2.0**-i for i in range(10)]  # 4 + z, then 4 + pixels


def test_the_pca_check_is_asked_of_dense_networks_alone():
    rows = [table_row(depth=depth, train_error=0.01 * depth, architecture="convolutional") for depth in (1, 2, 3)]
    assert not any("PCA" in claim.text for claim in depth_claims(rows))
    assert any("PCA" in claim.text for claim in depth_claims([row | {"architecture": "dense"} for row in rows]))
    assert "convolutions" in depth_figure(rows).axes[0].get_xlabel()


def test_the_page_has_a_column_for_what_the_study_varies():
    page = markdown(report.page("fig1_right", load_study("fig1_right"), residual_rows(TWO)))
    assert "| objective | depth | convolutions a block | data | seeds | train error | test error |" in page
    assert "| AE | 2 | 3 | svhn | 1 | 0.03 | 0.03 |" in page
    varied = markdown(report.page("initialisation", load_study("initialisation"), initialisation_rows(STARTS)))
    assert "| objective | depth | initialiser | seeds |" in varied


def test_lists_survive_the_table(tmp_path):
    rows = [table_row(sigma_histogram=[0.25, 0.75]), table_row(run_id="other", sigma_histogram=None)]
    write_table(tmp_path / "t.csv", rows)
    assert [row["sigma_histogram"] for row in read_table(tmp_path / "t.csv")] == [[0.25, 0.75], None]


def test_figure_without_a_study_redraws_every_table_there_is(tmp_path, capsys):
    write_table(tmp_path / "fig1_right.csv", residual_rows(TWO))
    write_table(tmp_path / "gamma.csv", gamma_rows({2: {0.1: 60, 1.0: 18, 10.0: 0}}, AFFINE))
    assert cli.main(["figure", "--out", str(tmp_path)]) == 0
    assert {path.stem for path in tmp_path.glob("*.png")} == {"fig1_right", "gamma"}
    assert cli.main(["figure", "--out", str(tmp_path / "nothing")]) == 2
    assert "there is no such directory" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["fig1_middle", "fig3"])
def test_the_convolutional_studies_are_the_paper_s_grid(name):
    runs = load_study(name).runs("paper")
    assert {run.network.depth for run in runs} == {1, 2, 3, 4, 5}
    assert {run.objective.label for run in runs} == {"AE", "VAE", "VAE + KL warm-up"}
    assert len(runs) == 15
    assert {(r.training.steps, r.network.base_channels, r.network.latent_dim) for r in runs} == {(250_000, 64, 64)}
    assert {run.data.name for run in runs} == {"cifar100" if name == "fig1_middle" else "imagenet_resized/64x64"}


def test_figure_1_right_and_2_are_the_paper_s_grids():
    runs = load_study("fig1_right").runs("paper")
    assert len(runs) == 48
    assert {(run.network.depth, run.network.block_depth) for run in runs} == {
        (b, c) for b in (1, 2, 4) for c in (2, 3, 4, 5)
    }
    assert {run.data.name for run in runs} == {"svhn_cropped", "cifar10", "cifar100", "celeb_a"}
    assert {(run.objective.kind, run.network.architecture, run.network.batch_norm) for run in runs} == {
        ("ae", "residual", False)
    }
    runs = load_study("fig2").runs("paper")
    assert [(run.network.depth, run.data.name, run.objective.gamma) for run in runs] == [
        (depth, "celeb_a", "learned") for depth in (2, 4, 5)
    ]


@real_data
def test_a_grayscale_dataset_given_to_a_colour_study_is_one_line_before_it_is_decoded(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tfcollapse.data.image_cache.write", lambda *arguments: pytest.fail("it decoded"))
    arguments = ["sweep", "fig1_middle", "--set", "data.name=fashion_mnist", "--set", "data.resize=[32,32]"]
    assert cli.main([*arguments, "--out", str(tmp_path)]) == 2
    assert "Data.channels: expected 3, received fashion_mnist, whose images have 1" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()

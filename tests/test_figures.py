import json
import math
import shlex

import matplotlib.colors
import pytest
from examples import table_row
from matplotlib.backends.backend_agg import FigureCanvasAgg
from processes import ROOT

from tfcollapse import figures
from tfcollapse.cli import arguments
from tfcollapse.cli import main as cli
from tfcollapse.figures import style, theory
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.records.table import read_table, tidy_row
from tfcollapse.reports import study_page as report
from tfcollapse.reports.markdown import markdown
from tfcollapse.studies.study import load_study, study_names

TABLES = [path for path in sorted((ROOT / "results").rglob("*.csv")) if path.stem in study_names()]


def rows(errors, seeds=1, gamma_mode="learned"):
    """A table: {objective: {depth: error}}, each further seed 1% above the one before."""
    made = []
    for objective, by_depth in errors.items():
        for depth, error in by_depth.items():
            for seed in range(seeds):
                vae = objective != "AE"
                value = None if error is None else error * (1 + 0.01 * seed)
                made.append(
                    table_row(
                        run_id=f"{objective}-{depth}-{seed}",
                        objective=objective,
                        depth=depth,
                        seed=seed,
                        status="failed" if error is None else "finished",
                        train_error=value,
                        test_error=value,
                        gamma=value if vae else None,
                        gamma_mode=gamma_mode if vae else None,
                        gamma_start=1.0 if vae else None,
                        active_units=64 - depth if vae and value else None,
                        kl=50.0 if vae and value else None,
                        **{"sigma_above_0.9": depth / 100 if vae and value else None},
                    )
                )
    return made


PAPER = {
    "AE": {1: 0.010, 2: 0.008, 4: 0.011},
    "VAE": {1: 0.014, 2: 0.012, 4: 0.015},
    "VAE + KL warm-up": {1: 0.012, 2: 0.010, 4: 0.012},
}


def test_a_missing_cell_is_missing_and_the_line_breaks():
    table = rows(PAPER | {"AE": {1: 0.010, 2: None, 4: 0.009}})
    axes = figures.depth_figure(table).axes[0]
    drawn = {container.get_label(): container.lines[0] for container in axes.containers}
    assert math.isnan(drawn["AE"].get_ydata()[1])
    assert list(drawn["AE"].get_xdata()) == [1, 2, 4]
    assert not any(math.isnan(value) for value in drawn["VAE"].get_ydata())
    assert "1 of 9 runs missing" in style.caption(table)


def test_several_seeds_give_error_bars_of_one_sd():
    one, three = (figures.depth_figure(rows(PAPER, seeds=seeds)).axes[0].containers[0] for seeds in (1, 3))
    assert not one.has_yerr
    assert three.has_yerr
    low, high = three.lines[2][0].get_segments()[0][:, 1]
    # 0.010, 0.0101, 0.0102: mean 0.0101, sample sd 0.0001
    assert (low, high) == pytest.approx((0.0100, 0.0102), rel=1e-9)


def test_reference_lines_stand_at_the_table_s_values():
    axes = figures.depth_figure(rows(PAPER)).axes[0]
    levels = {line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 2}
    assert levels == {0.087, 0.0103}


def _hollow(axes):
    """The places of hollow markers in a panel."""
    return {x for line in axes.lines if line.get_markerfacecolor() == "white" for x in line.get_xdata()}


def test_networks_that_were_not_trained_are_hollow():
    errors, units = figures.depth_figure(rows(PAPER | {"AE": {1: 0.010, 2: 0.008, 4: 0.0860}})).axes
    assert _hollow(errors) == {4}
    assert not _hollow(units)
    assert not _hollow(figures.depth_figure(rows(PAPER)).axes[0])


@pytest.mark.parametrize("name", study_names())
def test_labels_and_legends_cover_no_data(name, tmp_path):
    """What is written in a panel stands outside of its axes."""
    study = load_study(name)
    finished = {"status": "finished", "dataset": "fashion_mnist 3.0.1", "image_shape": "28x28x1", "train_images": 9}
    numbers = {"gamma": 0.02, "active_units": 30, "sigma_above_0.9": 0.5, "sigma_histogram": [1 / 48] * 48}
    known = {"mean_predictor_error": 0.087, "pca_error": 0.0103, "affine_active_units": 20, "affine_error": 0.02}
    table = []
    for i, run in enumerate(study.presets["quick"]):
        row = tidy_row(RunDirectory(tmp_path / run.run_id, run))
        table.append({**row, **finished, **numbers, **known, "train_error": 0.005 * (1 + i % 17)})
    figure = study.draw(table)
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        assert axes.get_legend() is None
        written = [text.get_window_extent() for text in axes.texts if text.get_text() != "z"]  # which names a layer
        assert not any(axes.get_window_extent().shrunk(0.99, 0.99).overlaps(box) for box in written)


def test_lines_are_told_apart_without_colour():
    styles = style.STYLES.values()
    assert len({style["marker"] for style in styles}) == len({style["linestyle"] for style in styles}) == len(styles)
    lightness = sorted(
        0.2126 * r + 0.7152 * g + 0.0722 * b
        for r, g, b in (matplotlib.colors.to_rgb(style["color"]) for style in styles)
    )
    assert min(b - a for a, b in zip(lightness, lightness[1:], strict=False)) > 0.1


def test_the_caption_says_what_was_run():
    text = style.caption(rows(PAPER, seeds=3))
    for part in ("fashion_mnist 3.0.1", "60,000 training images", "250,000 steps", "3 seeds", "learned from 1.0"):
        assert part in text
    assert "closed form" in style.caption(rows(PAPER, gamma_mode="optimal"))
    assert "1 seed\n" in style.caption(rows(PAPER))
    assert "3 seeds, bars: one sd over seeds" in figures.depth_figure(rows(PAPER, seeds=3)).texts[0].get_text()


def test_the_page_names_command_commit_hardware_steps_seeds_and_data():
    text = markdown(report.page("fig1_left", load_study("fig1_left"), rows(PAPER, seeds=2)))
    for part in ("`tfcollapse sweep fig1_left`", "| abc |", "| here |", "250000 of batch 64", "| 0; 1 |", "10000 test"):
        assert part in text
    assert "0.01005 +- 7.1e-05" in text


def test_equal_tables_give_equal_files(tmp_path):
    for name in ("a", "b"):
        style.save(figures.depth_figure(rows(PAPER)), tmp_path / name)
    for suffix in (".png", ".pdf"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_every_declaration_expands_to_unique_runs():
    assert "fig1_left" in study_names()
    for name in study_names():
        study = load_study(name)
        assert list(study.presets) == ["paper", "standing", "quick", "smoke"]
        lengths = [max(run.training.steps for run in runs) for runs in study.presets.values()]
        assert lengths == sorted(set(lengths), reverse=True)
        for preset in study.presets:
            ids = [run.run_id for run in study.runs(preset, seeds=2)]
            assert len(ids) == len(set(ids)) == 2 * len(study.presets[preset])
        assert "tfcollapse sweep" in (ROOT / "runs" / f"{name}.py").read_text()


def test_fig1_left_is_the_papers_grid():
    runs = load_study("fig1_left").runs("paper")
    assert {run.network.depth for run in runs} == {1, 2, 4, 6, 8, 10}
    assert len(runs) == 18
    assert {run.objective.label for run in runs} == {"AE", "VAE", "VAE + KL warm-up"}
    assert all((r.training.steps, r.network.width, r.data.name) == (250_000, 512, "fashion_mnist") for r in runs)
    assert all((r.objective.gamma, r.objective.gamma_start) == ("learned", 1.0) for r in runs)


def assert_rows_are_declared(table):
    """Every committed row is a run that the command beside it would make today."""
    rows = read_table(table)
    (line,) = {row["command"] for row in rows}
    parsed = cli.parser().parse_args(shlex.split(line)[1:])
    declared = [run.run_id for run in arguments.declared_study(parsed).runs]
    committed = {row["run_id"] for row in rows}
    assert [row["run_id"] for row in rows] == [name for name in declared if name in committed]
    ended = [row for row in rows if row["status"] != "unfinished"]
    assert all(row["commit"] and "dirty" not in row["commit"] for row in ended)


def test_committed_findings_say_how_they_were_made():
    committed = sorted((ROOT / "results" / "theory").glob("*.json"))
    assert {path.stem for path in committed} >= {"affine", "equations", "prop1", "prop2", "prop4"}
    for path in committed:
        made = json.loads(path.read_text())["made"]
        assert made["command"].startswith("tfcollapse theory")
        assert "dirty" not in made["commit"]


def test_the_guide_has_the_theory_lab_s_numbers_from_its_records():
    guide = " ".join((ROOT / "tfcollapse" / "theory" / "README.md").read_text().split())
    names = ("prop1", "prop2", "prop4")
    sections = {name: json.loads((ROOT / f"results/theory/{name}.json").read_text()) for name in names}

    def measured(name, claim):
        (value,) = [check["measured"] for check in sections[name]["checks"] if claim in check["claim"]]
        return value

    ends = [end for row in sections["prop1"]["curves"]["map"]["ends"]["alpha 1, sigma 0.2"] for end in row]
    caught = ends.count("partial minimum") / (len(ends) - ends.count("collapsed"))
    bound = "the sufficient value from (35)"
    for text in (
        f"at alpha = 1 that is {measured('prop1', 'barrier height'):.4f}",
        f"for alpha from {measured('prop1', 'the alphas that have').split(';')[0]}, half reconstructed",
        f"{caught:.0%} of those from sigma_z = 0.2",
        f"at {measured('prop4', 'units that training killed which').split(',')[0]} units",
        f"{measured('prop2', f'random data: {bound}'):.0f} times the gamma that suffices on random data",
        f"{measured('prop2', f'fashion_mnist: {bound}'):.0f} times on 2,000 images of Fashion-MNIST",
    ):
        assert text in guide


def test_the_theory_figures_have_ticks_at_their_depths_and_a_line_of_its_own_for_each_latent():
    found = {name: json.loads((ROOT / f"results/theory/{name}.json").read_text()) for name in ("equations", "prop2")}
    gaps = theory.equations_figure(found["equations"]).axes
    for axes, name in zip(gaps, ("error", "gamma"), strict=True):
        assert list(axes.get_xticks()) == sorted({row["depth"] for row in found["equations"]["curves"][name]})
    latents = [line for line in theory.prop2_figure(found["prop2"]).axes[1].lines if "latent" in line.get_label()]
    assert len(latents) == found["prop2"]["curves"]["staircase"]["latent_dim"]
    assert len({(line.get_color(), line.get_marker()) for line in latents}) == len(latents)


def test_committed_tables_are_of_declared_runs():
    assert TABLES
    for table in TABLES:
        assert "runs" not in table.relative_to(ROOT / "results").parts
        assert_rows_are_declared(table)


def test_a_caption_stands_within_its_figure():
    errors = dict.fromkeys(range(1, 60, 3), 0.087)
    figure = figures.depth_figure(rows(dict.fromkeys(PAPER, errors)))
    figure.draw_without_rendering()
    (text,) = [text for text in figure.texts if "hollow" in text.get_text()]
    assert figure.bbox.x0 < text.get_window_extent().x0
    assert text.get_window_extent().x1 < figure.bbox.x1

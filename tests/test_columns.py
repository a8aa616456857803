"""Every declared field is a column, and runs that differ in one are no seeds of one cell."""

import dataclasses

import pytest
from examples import table_row, tiny

from tfcollapse.cli.main import main
from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.config.declaration import NUMERICS, Data, Network, Objective, Run, Training
from tfcollapse.config.overrides import configured, replace
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.records.columns import COLUMNS, MEASURED, SCHEMA, declared
from tfcollapse.records.gaps import pairs
from tfcollapse.records.numerics import numerics_of, older, older_mark
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.records.table import read_table, tidy_row, write_table
from tfcollapse.reports import study_page as report
from tfcollapse.reports.markdown import markdown
from tfcollapse.studies.study import load_study

OTHER = {
    "data.name": "cifar10",
    "data.train": 96,
    "data.test": 48,
    "data.crop": (0, 20, 0, 20),
    "data.resize": (32, 32),
    "data.channels": 1,
    "network.architecture": "convolutional",
    "network.depth": 5,
    "network.width": 8,
    "network.norm": "layer",
    "network.base_channels": 16,
    "network.block_depth": 3,
    "network.shortcut": "projection",
    "network.batch_norm": True,
    "network.latent_dim": 3,
    "network.initializer": "he_normal",
    "network.output": "sigmoid",
    "objective.kind": "ae",
    "objective.gamma": "fixed",
    "objective.gamma_start": 0.5,
    "objective.beta": 4.0,
    "objective.warmup": "kl",
    "objective.warmup_steps": 7,
    "objective.kl_constraint": "free_bits",
    "objective.kl_nats": 0.5,
    "objective.importance_samples": 3,
    "training.steps": 10,
    "training.batch": 8,
    "training.learning_rate": 1e-3,
    "training.halve_every": 9,
    "training.beta_1": 0.8,
    "training.beta_2": 0.99,
    "training.epsilon": 1e-16,
    "training.encoder_ahead": 20,
    "training.log_every": 50,
    "training.evaluate_every": 500,
    "training.checkpoint_every": 500,
    "training.jit": "off",
    "training.precision": "tf32",
    "seed": 3,
    "numerics": NUMERICS + 1,
}
"""Another value for every declared field."""

NEEDS = {
    "network.base_channels": {"network.architecture": "convolutional"},
    "network.block_depth": {"network.architecture": "residual"},
    "network.shortcut": {"network.architecture": "residual"},
    "network.batch_norm": {"network.architecture": "residual"},
    "objective.warmup_steps": {"objective.warmup": "kl"},
    "objective.kl_nats": {"objective.kl_constraint": "free_bits"},
}
"""What has to be so for a field to say anything."""


def fields():
    for section in (Data, Network, Objective, Training):
        yield from (f"{section.__name__.lower()}.{field.name}" for field in dataclasses.fields(section))
    yield from ("seed", "numerics")


def test_the_schema_is_what_a_row_has_and_in_its_order(tmp_path):
    row = tidy_row(RunDirectory(tmp_path, tiny())) | {"command": ""}
    assert list(row) == list(SCHEMA)
    residual = {
        "network.architecture": "residual",
        "objective.kind": "vae",
        "network.width": 512,
        "network.norm": "none",
        "objective.importance_samples": 1,  # as several take no weight on the KL
    }
    for run in (Run(), replace(Run(), OTHER | residual)):
        for name, value in declared(run).items():
            assert value is None or type(value) is SCHEMA[name], name


WRITTEN = {"run_id": "1e5", "commit": "1234567", "reason": "12", "machine": "8", "dataset": "7", "first_train": 12}
WRITTEN |= {"batch_norm": False, "beta": 1.0, "sigma_histogram": [0.25, 0.75], "gamma": 1e-05, "crop": "0,20,0,20"}
WRITTEN |= {"image_shape": "28x28x1", "seed": 2**63 - 1, "kl": None, "of a user": "12"}


def test_a_cell_is_read_as_its_columns_type_and_never_guessed(tmp_path):
    write_table(tmp_path / "t.csv", [WRITTEN])
    (row,) = read_table(tmp_path / "t.csv")
    assert row == WRITTEN
    assert {name: type(value) for name, value in row.items()} == {n: type(value) for n, value in WRITTEN.items()}


GOOD = {"depth": 2, "train_error": 0.5, "batch_norm": True, "sigma_histogram": [0.5], "architecture": "dense"}


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("depth", "two", "a whole number"),
        ("depth", "2.5", "a whole number"),
        ("depth", "²", "a whole number"),
        ("depth", "1_0", "a whole number"),
        ("depth", "-1", "a whole number >= 0"),
        ("depth", "9" * 400, "a whole number"),
        ("train_error", "small", "a number"),
        ("train_error", "nan", "a number"),
        ("train_error", "1e400", "a number"),
        ("train_error", "1_0.5", "a number"),
        ("architecture", "magic", f"one of {', '.join(ARCHITECTURES)}"),
        ("batch_norm", "yes", "True or False"),
        ("sigma_histogram", "0.5", "a list of numbers"),
        ("sigma_histogram", "[0.5", "a list of numbers"),
        ("sigma_histogram", '[0.5, "1"]', "a list of numbers"),
        ("sigma_histogram", "[" * 100_000, "a list of numbers"),
    ],
)
def test_a_cell_of_another_type_is_one_line(tmp_path, name, text, kind):
    write_table(tmp_path / "t.csv", [{"run_id": "a", name: GOOD[name]}, {"run_id": "b", name: text}])
    with pytest.raises(RunError, match=f"row 2: expected {kind} in column {name}, received '.*': mend the cell"):
        read_table(tmp_path / "t.csv")


def test_a_row_with_too_many_cells_is_one_line(tmp_path):
    (tmp_path / "t.csv").write_text("run_id,depth\na,1\nb,2,3\n")
    with pytest.raises(RunError, match="row 2: expected 2 cells, received more"):
        read_table(tmp_path / "t.csv")


def test_every_declared_field_has_a_column_of_its_own():
    assert set(COLUMNS) == set(fields()) == set(OTHER)
    assert len(set(COLUMNS.values())) == len(COLUMNS)
    assert not set(COLUMNS.values()) & set(MEASURED) - {"dataset"}


@pytest.mark.parametrize("key", OTHER)
def test_two_runs_that_differ_in_one_field_differ_in_its_column(key, tmp_path):
    run = replace(Run(), NEEDS.get(key, {}))
    other = replace(run, {key: OTHER[key]})
    before, after = declared(run), declared(other)
    assert before[COLUMNS[key]] != after[COLUMNS[key]]
    assert run.run_id != other.run_id
    rows = [tidy_row(RunDirectory(tmp_path / each.run_id, each)) for each in (run, other)]
    write_table(tmp_path / "t.csv", rows)
    first, second = read_table(tmp_path / "t.csv")
    assert first[COLUMNS[key]] != second[COLUMNS[key]]
    assert second[COLUMNS[key]] == after[COLUMNS[key]]


def epsilon_rows(**more):
    return [
        table_row(run_id=f"{objective}-{d}-{epsilon}", objective=objective, depth=d, epsilon=epsilon, **values | more)
        for epsilon, errors in ((1e-8, (0.01, 0.009, 0.02)), (1e-16, (0.01, 0.008, 0.007)))
        for d, error in zip((1, 2, 10), errors, strict=True)
        for objective, factor in (("AE", 1), ("VAE", 1.5))
        for gamma in [{} if objective == "AE" else {"gamma": factor * error, "gamma_mode": "optimal"}]
        for values in [{"train_error": factor * error, "test_error": error, "gamma": None, "gamma_mode": None} | gamma]
    ]


def test_runs_that_differ_in_epsilon_alone_are_judged_drawn_and_listed_apart(tmp_path, capsys):
    rows = epsilon_rows()
    study = load_study("fig1_left")
    assert {apart: len(part) for apart, part in study.parts(rows).items()} == {"epsilon 1e-08": 6, "epsilon 1e-16": 6}
    page = markdown(report.page("fig1_left", study, rows))
    judged = "the AE's error first falls with depth, then rises | **too close to call** at 250,000 steps | by depth"
    assert f"| epsilon 1e-08: {judged} 1: 0.01000, 2: 0.00900, 10: 0.02000" in page
    assert f"| epsilon 1e-16: {judged} 1: 0.01000, 2: 0.00800, 10: 0.00700" in page
    assert "| AE | 10 | 1e-16 | 1 | 0.007 |" in page
    write_table(tmp_path / "fig1_left.csv", rows)
    assert main(["figure", "fig1_left", "--out", str(tmp_path)]) == 0
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert drawn == {"fig1_left-epsilon-1e-08", "fig1_left-epsilon-1e-16"}
    assert all(f"({stem}.png)" in page for stem in drawn)
    assert "epsilon 1e-16: fashion_mnist 3.0.1: 60,000 training images" in page
    figures = report.figures("fig1_left", study, rows)
    assert {figure.get_supxlabel().split("\n")[0] for figure in figures.values()} == {"epsilon 1e-08", "epsilon 1e-16"}


def test_a_column_that_there_is_not_is_refused():
    for tells_apart in (("objectiv", "depth"), "depth"):
        with pytest.raises(ConfigError, match="tells_apart"):
            dataclasses.replace(load_study("fig1_left"), tells_apart=tells_apart)


def test_a_twin_shares_every_field_that_is_no_vae_s():
    assert {(ae["epsilon"], vae["epsilon"]) for ae, vae in pairs(epsilon_rows())} == {(1e-8, 1e-8), (1e-16, 1e-16)}
    assert len(pairs(epsilon_rows())) == 6
    for column, value in (("precision", "tf32"), ("jit", "off"), ("crop", "0,20,0,20"), ("beta_1", 0.5)):
        apart = [row | ({column: value} if row["objective"] == "AE" else {}) for row in epsilon_rows()]
        assert pairs(apart) == []


def test_an_ae_stands_beside_vaes_that_differ_in_what_it_has_not():
    rows = [table_row(train_error=0.01)]
    vae = {"objective": "VAE", "gamma_mode": "learned", "train_error": 0.02}
    rows += [table_row(run_id=f"vae-{beta}", beta=beta, **vae) for beta in (1.0, 4.0)]
    parts = load_study("fig1_left").parts(rows)
    assert {apart: [row["objective"] for row in part] for apart, part in parts.items()} == {
        "beta 1.0": ["AE", "VAE"],
        "beta 4.0": ["AE", "VAE"],
    }


def test_every_study_tells_its_own_runs_apart(tmp_path):
    from tfcollapse.studies.study import study_names

    for name in study_names():
        study = load_study(name)
        for preset, runs in study.presets.items():
            rows = [tidy_row(RunDirectory(tmp_path / run.run_id, run)) for run in runs]
            assert list(study.parts(rows)) == [""], (name, preset)


def test_a_run_of_another_numerics_version_is_another_run_and_is_not_gone_on_with(tmp_path):
    from tfcollapse.training.trainer import train

    run = tiny()
    assert "numerics" in run.to_json()
    old = dataclasses.replace(run, numerics=NUMERICS + 1)
    assert old.run_id != run.run_id
    assert main(["train", "--set", f"numerics={NUMERICS + 1}", "--out", str(tmp_path)]) == 2
    with pytest.raises(ValueError, match=f"expected version {NUMERICS} of the numbers"):
        train(old, tmp_path)
    (tmp_path / "config.json").write_text(old.to_json())
    assert configured(str(tmp_path / "config.json"), []) == run


def test_a_record_without_a_numerics_version_is_of_the_first():
    text = Run(numerics=1).to_json()
    assert Run.from_json(text.replace('"numerics": 1,', "")) == Run(numerics=1)
    assert Run(numerics=1).run_id == "dense-2-vae-fashion_mnist-s0-44136fa355"  # what it was before there were versions
    assert older([{}]) == "unknown"  # a table that names none may be of any
    assert numerics_of({"commit": "d7900b2944b0"}) == 1  # which defines it
    assert numerics_of({"commit": "842087a2c701"}) is None
    assert numerics_of({"commit": "842087a2c701", "numerics": 1}) == 1


def test_a_page_of_another_version_says_so_at_its_top():
    rows = [table_row(train_error=0.01, test_error=0.01, numerics=version) for version in (NUMERICS, NUMERICS - 1)]
    assert older_mark(rows[:1]) == ""
    title, mark = markdown(report.page("fig1_left", load_study("fig1_left"), rows)).split("\n\n")[:2]
    assert title.startswith("# ")
    assert mark.startswith(
        f"**Made with another version of the numbers ({NUMERICS - 1}); the present one is {NUMERICS}."
    )
    assert "Made with" not in markdown(report.page("fig1_left", load_study("fig1_left"), rows[:1]))

"""The JAX engine against the TensorFlow one; JAX's processes are real ones, as Keras has one backend a process."""

import csv
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import sysconfig
import time

import numpy as np
import pytest
from examples import tiny
from processes import ROOT, command, python

from tfcollapse import load_model
from tfcollapse.config.declaration import Network, Objective, Run
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import MINI
from tfcollapse.errors import ConfigError
from tfcollapse.records.files import read_json
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.studies.schedule import auto_together, seed_groups
from tfcollapse.studies.sweep import sweep
from tfcollapse.training import checkpoint
from tfcollapse.training.trainer import train, train_together

if importlib.util.find_spec("jax") is None:
    pytest.skip("JAX is not installed: pip install 'tfcollapse[jax]'", allow_module_level=True)

OBJECTIVES = {
    "ae": Objective(kind="ae"),
    "learned": Objective(gamma="learned", gamma_start=0.1, warmup="kl", warmup_steps=60),
    "optimal": Objective(gamma="optimal"),
    "fixed": Objective(gamma="fixed", gamma_start=0.05, warmup="gamma", warmup_steps=30),
}
RUNS = {name: tiny(objective=objective, steps=100, halve_every=40) for name, objective in OBJECTIVES.items()}
RUNS["skip_dense"] = replace(RUNS["learned"], {"network.architecture": "skip_dense"})
RUNS["residual_dense"] = replace(RUNS["learned"], {"network.architecture": "residual_dense", "network.depth": 4})
RUNS["normalised"] = replace(RUNS["learned"], {"network.norm": "layer"})
SEEDS = [replace(RUNS["learned"], {"seed": seed}) for seed in range(3)]
MIXED = {precision: tiny(steps=40, precision=precision) for precision in ("bfloat16", "float16")}

TRAIN = """
import json, sys
from tfcollapse.config.declaration import Run
from tfcollapse.training.trainer import train, train_together
for out, *texts in json.loads(sys.argv[1]):
    runs = [Run.from_json(text) for text in texts]
    train(runs[0], out) if len(runs) == 1 else train_together(runs, out)
assert "jax" in sys.modules
"""


def plan(*parts):
    """TRAIN's argument: each part a directory and the runs that are trained there, several of them as one program."""
    return json.dumps([[str(out), *(run.to_json() for run in runs)] for out, *runs in parts])


def cut(run, source, target):
    """A copy of a finished run as if it had been killed before its end: its checkpoints, but for the last one."""
    folder = target / run.run_id
    shutil.copytree(source / run.run_id, folder)
    (folder / "result.json").unlink()
    (folder / "model.keras").unlink()
    for path in (folder / "checkpoints").glob(f"step-{run.training.steps:09d}*"):
        path.unlink()
    assert checkpoint.steps(folder / "checkpoints") == [80]
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of what one process of JAX trained, after TensorFlow trained most of it here.

    `tensorflow` and `jax` hold the same runs; `together` seeds as one program, `resumed` what TensorFlow began,
    `broken` seeds as one program of which the first one's weights, as they were saved, are not numbers.
    """
    folder = tmp_path_factory.mktemp("trained")
    for run in (*RUNS.values(), *SEEDS[:2], *MIXED.values()):
        train(run, folder / "tensorflow")
    cut(SEEDS[0], folder / "tensorflow", folder / "resumed")
    for run in SEEDS[:2]:
        cut(run, folder / "tensorflow", folder / "broken")
    # Under float16 the seeds overflow at different steps; which, if any, is theirs to say: here one is made to.
    checkpoints = folder / "broken" / SEEDS[0].run_id / "checkpoints"
    state = checkpoint.newest(checkpoints, print)
    state["model/encoder/mean/kernel"][0, 0] = np.nan
    checkpoint.save(checkpoints, 80, state)
    alone = [(folder / "jax", run) for run in (*RUNS.values(), *SEEDS, *MIXED.values())]
    several = [(folder / "together", *SEEDS), (folder / "resumed", SEEDS[0]), (folder / "broken", *SEEDS[:2])]
    cache = str(tmp_path_factory.getbasetemp() / "cache")
    answer = python(TRAIN, plan(*alone, *several), KERAS_BACKEND="jax", TFCOLLAPSE_CACHE=cache)
    assert answer.returncode == 0, answer.stderr
    return folder


def directory(folder, run):
    return RunDirectory(folder / run.run_id, run)


def metrics(path):
    with (path / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def weights(path):
    return {variable.path: np.array(variable) for variable in load_model(path / "model.keras").weights}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_the_same_run_agrees_after_100_steps_under_both(name, trained):
    run = RUNS[name]
    ours, theirs = (directory(trained / place, run) for place in ("tensorflow", "jax"))
    assert [read_json(each.path / "environment.json")["backend"] for each in (ours, theirs)] == ["tensorflow", "jax"]
    for one, other in zip(metrics(ours.path), metrics(theirs.path), strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    for split in ("train", "test"):
        assert theirs.result[split]["reconstruction_error"] == pytest.approx(
            ours.result[split]["reconstruction_error"], rel=1e-5
        )
    other = weights(theirs.path)
    for path, value in weights(ours.path).items():
        # 100 steps move a weight by up to 0.01; Adam makes whole steps of a gradient that is rounding alone
        assert np.quantile(np.abs(value - other[path]), 0.99) < 1e-5, path
        assert np.abs(value - other[path]).max() < 1e-3, path


@pytest.mark.slow
def test_a_program_is_kept_for_the_next_process(tmp_path):
    cache, said = tmp_path / "cache" / "jax", []

    def trained(place):
        settings = [f"data.name={MINI}", "data.train=200", "data.test=50", "network.width=24", "training.steps=2"]
        arguments = [text for setting in settings for text in ("--set", setting)]
        out = ["--out", str(tmp_path / place)]
        answer = command("train", *arguments, *out, KERAS_BACKEND="jax", TFCOLLAPSE_CACHE=str(tmp_path / "cache"))
        assert answer.returncode == 0
        said.append(metrics(next((tmp_path / place).iterdir())))
        return answer.stderr

    def programs():
        """Those that are kept, by name. A busy machine may keep more: it keeps what took long to compile."""
        return sorted(path.name.partition("-")[0] for path in cache.iterdir())

    assert trained("first") == ""
    kept = sorted(cache.iterdir())
    assert "jit_run_steps" in programs()
    assert trained("second") == ""
    assert set(kept) <= set(cache.iterdir())
    assert len(programs()) == len(set(programs()))  # none was compiled, and kept, again
    for path in kept:
        path.write_bytes(path.read_bytes()[:1000])
    trained("third")  # a damaged program is compiled anew
    assert said[0] == said[1] == said[2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* began on 2 threads")  # these tests have one
def test_a_checkpoint_of_one_is_a_checkpoint_of_the_other(trained, tmp_path):
    run = SEEDS[0]
    straight = directory(trained / "tensorflow", run)
    cut(run, trained / "jax", tmp_path)
    train(run, tmp_path)
    for out, then in ((trained / "resumed", "jax"), (tmp_path, "tensorflow")):
        resumed = directory(out, run)
        facts = read_json(resumed.path / "environment.json")
        assert (facts["resumed_from"], facts["backend"]) == (80, then)
        assert facts["earlier"][0]["backend"] != then
        assert metrics(resumed.path)[-1] == pytest.approx(metrics(straight.path)[-1], rel=1e-5)
        error = resumed.result["train"]["reconstruction_error"]
        assert error == pytest.approx(straight.result["train"]["reconstruction_error"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("precision", MIXED)
def test_mixed_precision_trains_under_jax_too(precision, trained, finished):
    run, full = MIXED[precision], read_json(finished / "result.json")
    ours, theirs = (directory(trained / place, run) for place in ("tensorflow", "jax"))
    error = theirs.result["train"]["reconstruction_error"]
    assert error == pytest.approx(ours.result["train"]["reconstruction_error"], rel=1e-3)
    assert error != pytest.approx(full["train"]["reconstruction_error"], rel=1e-5)
    assert {value.dtype for value in weights(theirs.path).values()} == {np.dtype(np.float32)}


@pytest.mark.slow
def test_seeds_as_one_program_are_the_same_runs(trained):
    """And those alone, but for the first, were trained by the engine of the one before."""
    together = [directory(trained / "together", run) for run in SEEDS]
    for run, lane in zip(SEEDS, together, strict=True):
        alone = directory(trained / "jax", run)
        for one, other in zip(metrics(lane.path), metrics(alone.path), strict=True):
            assert one == pytest.approx(other, rel=1e-6)
        assert lane.result["train"]["kl"] == pytest.approx(alone.result["train"]["kl"], rel=1e-5)
        other = weights(alone.path)
        assert all(np.abs(value - other[path]).max() < 1e-5 for path, value in weights(lane.path).items())
    assert len({lane.result["train"]["reconstruction_error"] for lane in together}) == 3


@pytest.mark.slow
def test_a_seed_that_diverges_does_not_stop_those_beside_it(trained):
    failed, well = (directory(trained / "broken", run) for run in SEEDS[:2])
    assert (failed.result["status"], failed.result["step"]) == ("failed", 81)
    assert well.result["status"] == "finished"
    assert metrics(well.path)[-1]["step"] == 100


@pytest.mark.slow
def test_sigterm_saves_every_seed_at_one_step(tmp_path):
    runs = [tiny(seed=seed, steps=200_000, evaluate_every=100_000, checkpoint_every=100_000) for seed in range(2)]
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, plan((tmp_path, *runs))],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": "jax"},
        stderr=subprocess.DEVNULL,
    )
    while not all((tmp_path / run.run_id / "metrics.csv").exists() for run in runs):
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(600) == 143
    steps = {tuple(checkpoint.steps(tmp_path / run.run_id / "checkpoints")) for run in runs}
    assert len(steps) == 1
    assert len(steps.pop()) == 1


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """An environment that has every installed package but TensorFlow and what comes with it: a PYTHONPATH."""
    folder = tmp_path_factory.mktemp("site")
    for place in {sysconfig.get_paths()[kind] for kind in ("purelib", "platlib")}:
        for path in pathlib.Path(place).iterdir():
            absent = path.name.startswith(("tensorflow", "tensorboard", "tf_", "__editable__", "tfcollapse"))
            if not absent and path.stem not in sys.stdlib_module_names:  # a backport would stand before the real one
                (folder / path.name).symlink_to(path)
    return os.pathsep.join([str(folder), str(ROOT)])


def bare(code, path, *arguments, **environment):
    """Run code where nothing but `path` is installed."""
    return subprocess.run(
        [sys.executable, "-S", "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.mark.slow
def test_it_trains_where_there_is_no_tensorflow_at_all(without_tensorflow, finished, tmp_path):
    absent = bare("import tensorflow", without_tensorflow)
    assert "No module named 'tensorflow'" in absent.stderr
    run = tiny()
    assert finished.name == run.run_id
    code = TRAIN + "\nassert 'tensorflow' not in sys.modules"
    answer = bare(code, without_tensorflow, plan((tmp_path, run)), KERAS_BACKEND="jax")
    assert answer.returncode == 0, answer.stderr
    result = RunDirectory(tmp_path / run.run_id, run).result
    assert result["status"] == "finished"
    assert result["train"]["reconstruction_error"] == pytest.approx(
        read_json(finished / "result.json")["train"]["reconstruction_error"], rel=1e-5
    )
    assert load_model(tmp_path / run.run_id / "model.keras").count_params() == result["parameters"]


def test_without_tensorflow_what_needs_it_says_so(without_tensorflow, tmp_path):
    command = "import sys; from tfcollapse.cli.main import main; sys.exit(main(sys.argv[1:]))"
    answer = bare(command, without_tensorflow, "train", "--out", str(tmp_path))
    assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
    assert "TensorFlow is not installed" in answer.stderr
    assert "KERAS_BACKEND=jax" in answer.stderr
    answer = bare("import tfcollapse; tfcollapse.train", without_tensorflow, KERAS_BACKEND="tensorflow")
    assert "ConfigError: TensorFlow is not installed" in answer.stderr.splitlines()[-1]


MAIN = "import sys; from tfcollapse.cli.main import main; sys.exit(main(sys.argv[1:]))"


SHORT = ["--set", f"data.name={MINI}", "--set", "training.steps=2"]
REFUSED = [
    (["train", "--strategy", "mirrored"], "several devices for one run need TensorFlow"),
    (["train", "--devices", "2"], "several devices for one run need TensorFlow"),
    (["export", "run", "target"], "export: expected TensorFlow, received KERAS_BACKEND=jax"),
    (["diagnose", "run"], "diagnose: expected TensorFlow, received KERAS_BACKEND=jax"),
    (["blame"], "blame: expected TensorFlow, received KERAS_BACKEND=jax"),
    (["theory", "prop2"], "theory: expected TensorFlow, received KERAS_BACKEND=jax"),
    (["train", *SHORT, "--set", "training.jit=off"], "expected 'auto' or 'on', as JAX compiles all it computes"),
    (["sweep", "fig1_middle", "--preset", "smoke", "--index", "0"], "expected a GPU for a convolutional network"),
]


@pytest.mark.slow
def test_what_is_tensorflow_s_says_so_in_one_line(tmp_path):
    code = """
import json, sys
import numpy as np
from tfcollapse import Network, Run, build
from tfcollapse.cli.main import main
print([main(each) for each in json.loads(sys.argv[1])])
model = build(Run(network=Network(width=8)), (28, 28, 1))
model.compile("adam")
model.fit(np.zeros((8, 28, 28, 1), "float32"), verbose=0)
"""
    out = ["--out", str(tmp_path)]
    asked = [[*each, *out] if each[0] in ("train", "sweep") else each for each, _ in REFUSED]
    answer = python(code, json.dumps(asked), KERAS_BACKEND="jax")
    lines, mark, fitted = answer.stderr.partition("Traceback")
    assert json.loads(answer.stdout.splitlines()[-1]) == [2] * len(REFUSED), answer.stderr
    for (_, said), line in zip(REFUSED, lines.splitlines(), strict=True):
        assert said in line
    assert not any(tmp_path.glob("*/result.json"))
    assert mark
    assert "ConfigError: fit: expected TensorFlow, received KERAS_BACKEND=jax" in fitted


def test_another_backend_is_refused_in_one_line(tmp_path):
    answer = python(MAIN, "train", "--out", str(tmp_path), KERAS_BACKEND="torch")
    assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
    assert "expected tensorflow or jax, received 'torch'" in answer.stderr


@pytest.mark.slow
def test_a_sweep_trains_seeds_together(tmp_path):
    study = tmp_path / "seeds.py"
    study.write_text(
        "from examples import tiny\nfrom tfcollapse.claims import depth_claims\n"
        "from tfcollapse.config.declaration import Objective\nfrom tfcollapse.figures import depth_figure\n"
        "from tfcollapse.studies.study import Study\nruns = [tiny(objective=Objective(kind='ae')), tiny()]\n"
        "STUDY = Study(title='t', presets={'quick': runs}, draw=depth_figure, claims=depth_claims)\n"
    )
    path = os.pathsep.join([str(ROOT / "tests" / "tools"), os.environ.get("PYTHONPATH", "")])
    arguments = ["sweep", str(study), "--seeds", "3", "--together", "2", "--jobs", "1", "--out", str(tmp_path / "out")]
    answer = python(MAIN, *arguments, KERAS_BACKEND="jax", PYTHONPATH=path)
    assert answer.returncode == 0, answer.stderr
    with (tmp_path / "out" / "seeds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["objective"], row["seed"], row["status"]) for row in rows] == [
        (objective, str(seed), "finished") for objective in ("AE", "VAE") for seed in range(3)
    ]


def test_parcels_hold_seeds_of_one_cell():
    runs = [Run(network=Network(depth=depth), seed=seed) for seed in range(3) for depth in (1, 2)]
    found = seed_groups(runs, 2)
    assert sorted(map(len, found)) == [1, 1, 2, 2]
    assert all(len({replace(run, {"seed": 0}) for run in group}) == 1 for group in found)
    assert [run for group in seed_groups(runs, 1) for run in group] == runs
    assert auto_together(runs) == 1


def test_together_without_jax_is_refused(tmp_path):
    runs = [tiny(seed=seed) for seed in range(2)]
    with pytest.raises(ConfigError, match="KERAS_BACKEND=jax"):
        train_together(runs, tmp_path)
    with pytest.raises(ConfigError, match="KERAS_BACKEND=jax"):
        sweep(runs, tmp_path, together=2)

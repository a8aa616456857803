"""The JAX engine against the TensorFlow one; JAX's processes are real ones, as Keras has one backend a process."""

import csv
import json
import os
import pathlib
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
from tfcollapse.config import Network, Objective, Run
from tfcollapse.data import MINI
from tfcollapse.errors import ConfigError
from tfcollapse.record import RunDirectory
from tfcollapse.sweep import auto_together, parcels, sweep
from tfcollapse.training import checkpoint
from tfcollapse.training.trainer import train, train_together
from tfcollapse.variants import replace

pytest.importorskip("jax", reason="JAX is not installed: pip install 'tfcollapse[jax]'")

OBJECTIVES = {
    "ae": Objective(kind="ae"),
    "learned": Objective(gamma="learned", gamma_start=0.1, warmup="kl", warmup_steps=60),
    "optimal": Objective(gamma="optimal"),
    "fixed": Objective(gamma="fixed", gamma_start=0.05, warmup="gamma", warmup_steps=30),
}

TRAIN = """
import sys
from tfcollapse.config import Run
from tfcollapse.errors import UserError
from tfcollapse.training.trainer import train, train_together
out, *texts = sys.argv[1:]
runs = [Run.from_json(text) for text in texts]
try:
    train(runs[0], out) if len(runs) == 1 else train_together(runs, out)
except UserError as error:
    sys.exit(f"tfcollapse: {error}")
assert "jax" in sys.modules
"""


def jax(out, *runs):
    answer = python(TRAIN, str(out), *(run.to_json() for run in runs), KERAS_BACKEND="jax")
    assert answer.returncode == 0, answer.stderr
    return [RunDirectory(out / run.run_id, run) for run in runs]


def metrics(path):
    with (path / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def weights(path):
    return {variable.path: np.array(variable) for variable in load_model(path / "model.keras").weights}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_same_run_agrees_after_100_steps_under_both(name, tmp_path):
    run = tiny(objective=OBJECTIVES[name], steps=100, halve_every=40)
    result = train(run, tmp_path / "tensorflow")
    (theirs,) = jax(tmp_path / "jax", run)
    ours = tmp_path / "tensorflow" / run.run_id
    assert json.loads((theirs.path / "environment.json").read_text())["backend"] == "jax"
    for one, other in zip(metrics(ours), metrics(theirs.path), strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    for split in ("train", "test"):
        assert theirs.result[split]["reconstruction_error"] == pytest.approx(
            result[split]["reconstruction_error"], rel=1e-5
        )
    other = weights(theirs.path)
    for path, value in weights(ours).items():
        # 100 steps move a weight by up to 0.01; Adam makes whole steps of a gradient that is rounding alone
        assert np.quantile(np.abs(value - other[path]), 0.99) < 1e-5, path
        assert np.abs(value - other[path]).max() < 1e-3, path


def test_a_program_is_kept_for_the_next_process(tmp_path):
    cache, said = tmp_path / "cache" / "jax", []

    def trained(place):
        settings = ["--set", f"data.name={MINI}", "--set", "training.steps=2", "--out", str(tmp_path / place)]
        answer = command("train", *settings, KERAS_BACKEND="jax", TFCOLLAPSE_CACHE=str(tmp_path / "cache"))
        assert answer.returncode == 0
        said.append(metrics(next((tmp_path / place).iterdir())))
        return answer.stderr

    assert trained("first") == ""
    kept = sorted(cache.iterdir())
    assert trained("second") == ""
    assert sorted(cache.iterdir()) == kept
    for path in kept:
        path.write_bytes(path.read_bytes()[:1000])
    trained("third")  # a damaged program is compiled anew
    assert said[0] == said[1] == said[2]


def test_a_checkpoint_of_one_is_a_checkpoint_of_the_other(tmp_path):
    run = tiny(objective=OBJECTIVES["learned"], steps=60, checkpoint_every=20)
    straight = train(run, tmp_path / "straight")
    for first, then in (("tensorflow", "jax"), ("jax", "tensorflow")):
        out = tmp_path / first
        assert python(TRAIN, str(out), run.to_json(), KERAS_BACKEND=first).returncode in (0, 1)
        folder = out / run.run_id
        (folder / "result.json").unlink()
        (folder / "model.keras").unlink()
        for path in (folder / "checkpoints").glob("step-000000060*"):
            path.unlink()
        assert checkpoint.steps(folder / "checkpoints") == [40]
        answer = python(TRAIN, str(out), run.to_json(), KERAS_BACKEND=then)
        assert RunDirectory(folder, run).result, answer.stderr
        assert json.loads((folder / "environment.json").read_text())["resumed_from"] == 40
        assert metrics(folder)[-1] == pytest.approx(metrics(tmp_path / "straight" / run.run_id)[-1], rel=1e-5)
        error = RunDirectory(folder, run).result["train"]["reconstruction_error"]
        assert error == pytest.approx(straight["train"]["reconstruction_error"], rel=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_under_jax_too(precision, tmp_path):
    run = tiny(steps=40, precision=precision)
    (directory,) = jax(tmp_path / "jax", run)
    error = directory.result["train"]["reconstruction_error"]
    assert error == pytest.approx(train(run, tmp_path)["train"]["reconstruction_error"], rel=1e-3)
    assert error != pytest.approx(train(tiny(steps=40), tmp_path)["train"]["reconstruction_error"], rel=1e-5)
    assert {value.dtype for value in weights(directory.path).values()} == {np.dtype(np.float32)}


def test_seeds_as_one_program_are_the_same_runs(tmp_path):
    runs = [tiny(objective=OBJECTIVES["learned"], seed=seed, steps=60) for seed in range(3)]
    together = jax(tmp_path / "together", *runs)
    for run, directory in zip(runs, together, strict=True):
        (alone,) = jax(tmp_path / "alone", run)
        for one, other in zip(metrics(directory.path), metrics(alone.path), strict=True):
            assert one == pytest.approx(other, rel=1e-6)
        assert directory.result["train"]["kl"] == pytest.approx(alone.result["train"]["kl"], rel=1e-5)
        other = weights(alone.path)
        assert all(np.abs(value - other[path]).max() < 1e-5 for path, value in weights(directory.path).items())
    assert len({directory.result["train"]["reconstruction_error"] for directory in together}) == 3


def test_a_seed_that_diverges_does_not_stop_those_beside_it(tmp_path):
    # Under float16 the seeds overflow at different steps; which, if any, is theirs to say: here one is made to.
    runs = [tiny(objective=OBJECTIVES["learned"], seed=seed, steps=40, checkpoint_every=20) for seed in range(2)]
    jax(tmp_path, *runs)
    broken = tmp_path / runs[0].run_id
    for run in runs:
        (tmp_path / run.run_id / "result.json").unlink()
        for path in (tmp_path / run.run_id / "checkpoints").glob("step-000000040*"):
            path.unlink()
    state = checkpoint.newest(broken / "checkpoints", print)
    state["model/encoder/mean/kernel"][0, 0] = np.nan
    checkpoint.save(broken / "checkpoints", 20, state)
    failed, finished = jax(tmp_path, *runs)
    assert (failed.result["status"], failed.result["step"]) == ("failed", 21)
    assert finished.result["status"] == "finished"
    assert metrics(finished.path)[-1]["step"] == 40


def test_sigterm_saves_every_seed_at_one_step(tmp_path):
    runs = [tiny(seed=seed, steps=200_000, evaluate_every=100_000, checkpoint_every=100_000) for seed in range(2)]
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(tmp_path), *(run.to_json() for run in runs)],
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


def test_it_trains_where_there_is_no_tensorflow_at_all(without_tensorflow, tmp_path):
    absent = bare("import tensorflow", without_tensorflow)
    assert "No module named 'tensorflow'" in absent.stderr
    run = tiny(steps=40)
    code = TRAIN + "\nassert 'tensorflow' not in sys.modules"
    answer = bare(code, without_tensorflow, str(tmp_path), run.to_json(), KERAS_BACKEND="jax")
    assert answer.returncode == 0, answer.stderr
    result = RunDirectory(tmp_path / run.run_id, run).result
    assert result["status"] == "finished"
    assert result["train"]["reconstruction_error"] == pytest.approx(
        train(run, tmp_path / "tensorflow")["train"]["reconstruction_error"], rel=1e-5
    )
    assert load_model(tmp_path / run.run_id / "model.keras").count_params() == result["parameters"]


def test_without_tensorflow_what_needs_it_says_so(without_tensorflow, tmp_path):
    command = "import sys; from tfcollapse.cli import main; sys.exit(main(sys.argv[1:]))"
    answer = bare(command, without_tensorflow, "train", "--out", str(tmp_path))
    assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
    assert "TensorFlow is not installed" in answer.stderr
    assert "KERAS_BACKEND=jax" in answer.stderr
    answer = bare("import tfcollapse; tfcollapse.train", without_tensorflow, KERAS_BACKEND="tensorflow")
    assert "ConfigError: TensorFlow is not installed" in answer.stderr.splitlines()[-1]


MAIN = "import sys; from tfcollapse.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--strategy", "mirrored"], "tf.distribute's"),
        (["train", "--devices", "2"], "tf.distribute's"),
        (["export", "run", "target"], "export: TensorFlow's alone"),
        (["diagnose", "run"], "diagnose: TensorFlow's alone"),
        (["blame"], "blame: TensorFlow's alone"),
        (["theory", "prop2"], "theory: TensorFlow's alone"),
        (["train", "--set", "training.jit=off", "--set", "data.name=fashion_mnist_mini"], "'off' is TensorFlow's"),
        (["sweep", "fig1_middle", "--preset", "smoke", "--index", "0"], "expected a GPU for a convolutional network"),
    ],
)
def test_what_is_tensorflow_s_says_so_in_one_line(arguments, said, tmp_path):
    arguments = [*arguments, "--out", str(tmp_path)] if arguments[0] in ("train", "sweep") else arguments
    answer = python(MAIN, *arguments, KERAS_BACKEND="jax")
    assert answer.returncode == 2, answer.stderr
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    assert said in answer.stderr
    assert not any(tmp_path.glob("*/result.json"))


def test_another_backend_is_refused_in_one_line(tmp_path):
    answer = python(MAIN, "train", "--out", str(tmp_path), KERAS_BACKEND="torch")
    assert (answer.returncode, len(answer.stderr.splitlines())) == (2, 1)
    assert "expected tensorflow or jax, received 'torch'" in answer.stderr


def test_fit_under_jax_says_what_to_use():
    code = """
import numpy as np
from tfcollapse import Network, Run, build
model = build(Run(network=Network(width=8)), (28, 28, 1))
model.compile("adam")
model.fit(np.zeros((8, 28, 28, 1), "float32"), verbose=0)
"""
    answer = python(code, KERAS_BACKEND="jax")
    assert "ConfigError: fit: this model's is TensorFlow's" in answer.stderr


def test_a_sweep_trains_seeds_together(tmp_path):
    study = tmp_path / "seeds.py"
    study.write_text(
        "from examples import tiny\nfrom tfcollapse.claims import depth_claims\n"
        "from tfcollapse.config import Objective\nfrom tfcollapse.figures import depth_figure\n"
        "from tfcollapse.study import Study\nruns = [tiny(objective=Objective(kind='ae')), tiny()]\n"
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
    found = parcels(runs, 2)
    assert sorted(map(len, found)) == [1, 1, 2, 2]
    assert all(len({replace(run, {"seed": 0}) for run in parcel}) == 1 for parcel in found)
    assert [run for parcel in parcels(runs, 1) for run in parcel] == runs
    assert auto_together(runs) == 1


def test_together_without_jax_is_refused(tmp_path):
    runs = [tiny(seed=seed) for seed in range(2)]
    with pytest.raises(ConfigError, match="KERAS_BACKEND=jax"):
        train_together(runs, tmp_path)
    with pytest.raises(ConfigError, match="KERAS_BACKEND=jax"):
        sweep(runs, tmp_path, together=2)

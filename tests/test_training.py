import csv
import json
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import tiny
from processes import python

from tfcollapse import load_model
from tfcollapse.config.declaration import Objective
from tfcollapse.config.overrides import replace
from tfcollapse.data import random_streams as draws
from tfcollapse.data.dataset import load
from tfcollapse.errors import RunError
from tfcollapse.models.build import build
from tfcollapse.records.files import read_json
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.training import checkpoint, engines
from tfcollapse.training.tensorflow_engine import METRICS, TensorFlowEngine
from tfcollapse.training.trainer import train


def _rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _weights(path):
    return {variable.path: variable.numpy() for variable in load_model(path / "model.keras").weights}


def _numbers(path):
    """metrics.csv without the clock."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in _rows(path)]


OBJECTIVES = {
    "ae": Objective(kind="ae"),
    "learned": Objective(gamma="learned", gamma_start=0.1),
    "fixed": Objective(gamma="fixed", gamma_start=0.05),
    "optimal": Objective(gamma="optimal", warmup="kl", warmup_steps=16),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Of each objective, for reading: a finished run, its directory, its result and what was reported of it."""
    out, found = tmp_path_factory.mktemp("trained"), {}
    for name, objective in OBJECTIVES.items():
        run, seen = tiny(objective=objective, jit="off"), []
        result = train(run, out, report=seen.append)
        found[name] = (run, out / run.run_id, result, seen)
    return found


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_run_s_directory_holds_everything(name, trained):
    run, path, result, seen = trained[name]
    assert result["status"] == "finished"
    assert read_json(path / "result.json") == json.loads(json.dumps(result))
    assert (result["train"]["images"], result["test"]["images"]) == (200, 50)
    assert [int(row["step"]) for row in _rows(path / "metrics.csv")] == [10, 20, 30, 40]
    assert {row["step"] for row in _rows(path / "diagnostics.csv")} == {"20", "40"}
    assert [progress.step for progress in seen] == [10, 20, 30, 40]
    assert seen[-1].seconds_left == 0
    environment = read_json(path / "environment.json")
    assert environment["device"]
    assert {"commit", "machine", "versions", "python", "started"} <= set(environment)
    # The evaluation is of the model that is kept, over every image, at the mean: no draw involved.
    images = load(run.data).train[:].astype(np.float32) / 255.0
    error = np.mean((images - load_model(path / "model.keras").reconstruct(images).numpy()) ** 2, dtype=np.float64)
    assert result["train"]["reconstruction_error_at_mean"] == pytest.approx(error, rel=1e-5)
    if name == "ae":
        assert result["train"]["reconstruction_error"] == result["train"]["reconstruction_error_at_mean"]
        assert "gamma" not in result
    else:
        assert result["train"]["reconstruction_error"] != result["train"]["reconstruction_error_at_mean"]
        assert result["gamma"] == pytest.approx(float(load_model(path / "model.keras").gamma))


def test_each_gamma_mode_does_what_it_says(trained):
    gammas = {}
    for name in ("learned", "fixed", "optimal"):
        _, path, result, _ = trained[name]
        gammas[name] = (result["gamma"], [float(row["gamma"]) for row in _rows(path / "metrics.csv")])
        if name == "optimal":  # eq. (10) over the training set, and on each batch before
            assert result["gamma"] == pytest.approx(result["train"]["reconstruction_error"], rel=1e-6)
            for row in _rows(path / "metrics.csv"):
                assert float(row["gamma"]) == pytest.approx(float(row["reconstruction_error"]), rel=1e-5)
    assert gammas["fixed"] == (pytest.approx(0.05), [pytest.approx(0.05)] * 4)
    # 40 updates of Adam at 2e-4 move log gamma by at most 0.008, and here all the way: the error is above gamma.
    assert 0.1 * 1.006 < gammas["learned"][0] < 0.1 * 1.0085


def test_the_learning_rate_is_a_staircase_and_the_kl_weight_a_ramp(tmp_path):
    each = {"log_every": 1, "evaluate_every": 40, "checkpoint_every": 40}
    run = tiny(objective=OBJECTIVES["optimal"], halve_every=12, jit="off", **each)
    train(run, tmp_path)
    rows = _rows(tmp_path / run.run_id / "metrics.csv")
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == pytest.approx([2e-4] * 12 + [1e-4] * 12 + [5e-5] * 12 + [2.5e-5] * 4, rel=1e-6)
    weights = [float(row["kl_weight"]) for row in rows]
    assert weights == pytest.approx([min(1.0, (step + 1) / 16) for step in range(40)], rel=1e-6)


def test_the_compiled_loop_does_what_a_plain_eager_loop_does():
    run = tiny(objective=Objective(gamma="learned", gamma_start=0.2, warmup="kl", warmup_steps=5), halve_every=4)
    images = load(run.data).train
    indices = draws.batch_indices(run.seed, 0, 10, 16, len(images))
    noise = draws.noise(run.seed, 0, 10, 16, 6)
    engine = TensorFlowEngine(build(run, images.shape[1:]), run.training, jit=True)
    values = engine.train_steps(images[indices], noise)

    model = build(run, images.shape[1:])
    moments = [(np.zeros(v.shape), np.zeros(v.shape)) for v in model.trainable_variables]
    faint = [np.zeros(v.shape, bool) for v in model.trainable_variables]
    for step in range(10):  # Adam written out (Kingma and Ba 2015), with epsilon outside the root's correction
        batch = images[indices[step]].astype(np.float32) / 255.0
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model.loss_terms(batch, noise[step], step).loss)
        assert values["loss"][step] == pytest.approx(float(loss), rel=1e-4)
        gradients = tape.gradient(loss, model.trainable_variables)
        rate = 2e-4 * 0.5 ** (step // 4) * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        for i, (variable, gradient) in enumerate(zip(model.trainable_variables, gradients, strict=True)):
            first, second = moments[i]
            moments[i] = (0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2)
            faint[i] |= (np.abs(gradient) > 0) & (np.abs(gradient) < 1e-5)
            variable.assign_sub(rate * moments[i][0] / (np.sqrt(moments[i][1]) + 1e-8))
    assert sum(map(np.sum, faint)) < 0.01 * model.count_params()
    for ours, plain, rounding in zip(engine.model.trainable_variables, model.trainable_variables, faint, strict=True):
        # 10 steps move a weight by up to 2e-3; they agree to a thousandth of that, but where a gradient was rounding
        # alone, which Adam turns into a step of full length.
        assert np.allclose(np.where(rounding, plain, ours), plain, atol=2e-6), plain.path
    assert set(values) == set(METRICS)


@pytest.mark.parametrize("jit", [pytest.param("on", marks=pytest.mark.slow), "off"])
def test_the_chunk_length_changes_no_number(jit, tmp_path):
    weights = []
    for log_every in (5, 20):
        run = tiny(objective=OBJECTIVES["learned"], log_every=log_every, jit=jit, steps=33)
        train(run, tmp_path)
        weights.append(_weights(tmp_path / run.run_id))
    assert all(np.array_equal(value, weights[1][path]) for path, value in weights[0].items())


def _count_engines(monkeypatch):
    """A list that grows with every engine that is made and not taken from a run before."""
    made = []
    monkeypatch.setattr(engines, "engine", lambda *a, make=engines.engine: made.append(make(*a)) or made[-1])
    return made


def test_equal_seeds_give_equal_runs_and_other_seeds_other_ones(tmp_path, monkeypatch):
    """All by one engine, and the equal one after the other."""
    made = _count_engines(monkeypatch)
    first, other, again = (tiny(jit="off"), tiny(jit="off", seed=1), tiny(jit="off"))
    for place, run in (("a", first), ("c", other), ("b", again)):
        train(run, tmp_path / place)
    assert len(made) == 1
    a, b, c = (_weights(tmp_path / p / r.run_id) for p, r in (("a", first), ("b", again), ("c", other)))
    assert all(np.array_equal(a[path], b[path]) for path in a)
    assert not np.array_equal(a["encoder/mean/kernel"], c["encoder/mean/kernel"])


def _same_but_for_the_clock(ours, theirs, run):
    """Assert that two directories of `run` are one run's, bit for bit."""
    for file in ("metrics.csv", "diagnostics.csv"):  # nothing doubled, nothing missing
        assert _numbers(ours / file) == _numbers(theirs / file)
    assert RunDirectory(ours, run).result["train"] == RunDirectory(theirs, run).result["train"]
    weights = _weights(ours)
    assert all(np.array_equal(weights[path], value) for path, value in _weights(theirs).items())


def test_a_run_that_breaks_off_goes_on_bit_for_bit(tmp_path):
    def stop(progress):
        if progress.step == 60:
            raise MemoryError

    each = {"steps": 100, "log_every": 20, "evaluate_every": 40, "checkpoint_every": 40}
    run = tiny(objective=OBJECTIVES["learned"], jit="off", **each)
    folder = RunDirectory(tmp_path / "broken" / run.run_id, run)
    with pytest.raises(MemoryError):
        train(run, tmp_path / "broken", report=stop)
    assert checkpoint.steps(folder.checkpoints) == [40]
    assert [int(row["step"]) for row in _rows(folder.path / "metrics.csv")] == [20, 40, 60]
    for place in ("broken", "whole"):
        train(run, tmp_path / place)
    assert [session["resumed_from"] for session in folder.sessions] == [0, 40]
    _same_but_for_the_clock(folder.path, tmp_path / "whole" / run.run_id, run)


CHILD = """
import os, signal, sys
from tfcollapse import Run, train
out, run_id, step, *texts = sys.argv[1:]
def report(progress):
    if (progress.run_id, progress.step) == (run_id, int(step)):
        os.kill(os.getpid(), signal.SIGKILL)
for text in texts:
    train(Run.from_json(text), out, report=report)
"""


def _child(out, *runs, killed_in="", at=0):
    """Train `runs`, one after the other, in a process that is killed at a step of one of them."""
    return python(CHILD, str(out), killed_in, str(at), *(run.to_json() for run in runs))


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(tmp_path):
    each = {"steps": 1000, "log_every": 20, "evaluate_every": 200, "checkpoint_every": 200}
    runs = [tiny(objective=OBJECTIVES["ae"], jit="off", **each), tiny(objective=OBJECTIVES["learned"], **each)]
    for run in runs:
        folder = RunDirectory(tmp_path / "killed" / run.run_id, run)
        for least in (200, 600):  # each time after this checkpoint and with rows that go beyond the last one
            answer = _child(tmp_path / "killed", *runs, killed_in=run.run_id, at=least + 60)
            assert answer.returncode == -signal.SIGKILL, answer.stderr
            assert folder.result is None
            assert checkpoint.steps(folder.checkpoints)[-1] == least
            assert int(_rows(folder.path / "metrics.csv")[-1]["step"]) == least + 60
    answer = _child(tmp_path / "killed", *runs)
    assert answer.returncode == 0, answer.stderr
    for run in runs:
        train(run, tmp_path / "whole")
        folder = RunDirectory(tmp_path / "killed" / run.run_id, run)
        _same_but_for_the_clock(folder.path, tmp_path / "whole" / run.run_id, run)
        assert folder.sessions[-1]["resumed_from"] >= 600
        assert folder.sessions[0]["resumed_from"] == 0


def _of_seed(name, seed):
    """A run of 50 steps, of one objective under XLA; the others are compiled in a third of the time without."""
    return tiny(objective=OBJECTIVES[name], seed=seed, steps=50, jit="auto" if name == "learned" else "off")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Runs of seed 8, each by an engine that has trained nothing before."""
    out = tmp_path_factory.mktemp("alone")
    answer = _child(out, *(_of_seed(name, 8) for name in OBJECTIVES))
    assert answer.returncode == 0, answer.stderr
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_another_seed_takes_the_compiled_engine_and_nothing_else_of_the_run_before(name, alone, tmp_path, monkeypatch):
    made = _count_engines(monkeypatch)
    first, second = (_of_seed(name, seed) for seed in (7, 8))
    for run in (first, second):
        train(run, tmp_path)
    assert len(made) == 1
    _same_but_for_the_clock(tmp_path / second.run_id, alone / second.run_id, second)
    ours, theirs = (load_model(place / second.run_id / "model.keras") for place in (tmp_path, alone))
    assert ours.get_config() == theirs.get_config()
    train(replace(first, {"network.width": 25}), tmp_path)
    assert len(made) == 2


def test_a_finished_run_is_not_trained_again(trained):
    run, path, result, _ = trained["optimal"]
    again = train(run, path.parent, report=lambda progress: pytest.fail("it trained"))
    assert again == json.loads(json.dumps(result))


@pytest.mark.parametrize("jit", ["on", "off"])
def test_a_loss_that_is_not_finite_fails_the_run_with_the_step(jit, tmp_path):
    run = tiny(objective=Objective(kind="ae"), learning_rate=1e18, jit=jit)
    result = train(run, tmp_path)
    assert result["status"] == "failed"
    # The first step's loss is taken before any update, so it is finite; the named one is the first that is not.
    assert 2 <= result["step"] <= 10
    assert f"not finite at step {result['step']}" in result["reason"]
    assert np.isfinite(result["last_finite"]["loss"])
    assert "learning_rate" in result["reason"]
    assert read_json(tmp_path / run.run_id / "result.json")["status"] == "failed"


def test_weights_that_the_last_step_made_infinite_fail_the_run_too(tmp_path):
    run = tiny(objective=Objective(kind="ae"), learning_rate=1e30, steps=1, jit="off")
    result = train(run, tmp_path)
    assert (result["status"], result["step"]) == ("failed", 1)


def test_a_checkpoint_of_another_network_is_refused():
    run = tiny()
    engine = TensorFlowEngine(build(run, (28, 28, 1)), run.training, jit=False)
    other = TensorFlowEngine(build(replace(run, {"network.width": 8}), (28, 28, 1)), run.training, jit=False)
    with pytest.raises(RunError, match="of another network"):
        engine.restore(other.state())
    assert engine.optimizer.name == "adam"
    assert isinstance(engine.optimizer, keras.optimizers.Adam)


def test_the_affine_prediction_is_at_beta_times_gamma(tmp_path):
    """beta times the KL term is an ordinary VAE's energy at beta * gamma, times beta."""
    few = {"steps": 10, "jit": "off"}
    plain = train(tiny(objective=Objective(gamma="fixed", gamma_start=4.0), **few), tmp_path)
    weighted = train(tiny(objective=Objective(gamma="fixed", gamma_start=0.1, beta=40.0), **few), tmp_path)
    assert weighted["affine_error"] == pytest.approx(plain["affine_error"], rel=1e-6)
    unweighted = train(tiny(objective=Objective(gamma="fixed", gamma_start=0.1), **few), tmp_path)
    assert unweighted["affine_error"] < 0.9 * plain["affine_error"]

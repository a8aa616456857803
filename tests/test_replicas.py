"""1, 2, 3 and 4 replicas follow one trajectory, but for the order of float sums."""

import json
import os
import subprocess
import sys

import pytest
from examples import tiny
from processes import ROOT, python

from tfcollapse.errors import ConfigError
from tfcollapse.training import strategy
from tfcollapse.training.trainer import train

METRICS_BOUND = 1e-4
"""Of every metric of 200 steps, relative to its largest; measured: at most 1.4e-5, as training/README.md states."""

WEIGHTS_BOUND = 1e-3
"""Of every weight, relative to the largest of its array; measured: at most 3.3e-4, under eq. (10)'s gamma."""

CASES = {
    "2 without XLA": ["--jit", "off", "2", "gamma optimal"],
    "3": ["3", "gamma learned", "gamma optimal"],  # 16 = 6 + 5 + 5: XLA compiles two lengths, or none under eq. (10)
    "3 without XLA": ["--jit", "off", "3", "ae", "gamma fixed", "convolutional, adam", "batch norm, sgd"],
    "4 without XLA": ["--jit", "off", "4", "gamma learned", "encoder ahead, adam"],
    "against collapse": ["--jit", "off", "2", "free bits, adam", "capacity, sgd", "importance weights, sgd"],
}
SLOW = ["3", "3 without XLA", "4 without XLA", "against collapse"]


@pytest.mark.parametrize("case", ["2 without XLA", *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)])
def test_replicas_follow_one_trajectory(case):
    ran = subprocess.run(
        [sys.executable, "tests/tools/trajectory.py", *CASES[case]],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "tests/tools"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    for name, found in json.loads(ran.stdout).items():
        assert found["loss"][1] < found["loss"][0], name
        if name.startswith("batch norm"):
            # Biases before a normalisation have no gradient but rounding's: the same sums reversed are as far away.
            assert found["metrics"]["replicas"] < 5 * found["metrics"]["reversed"], name
        else:
            assert found["metrics"]["replicas"] < METRICS_BOUND, name
            assert found["weights"]["replicas"] < WEIGHTS_BOUND, name


@pytest.mark.parametrize(
    "refused",  # by one process, whose TensorFlow has no CPU but CPU:0 once GPU:77 has been looked for
    [
        [
            (
                ["--strategy", "sideways"],
                "--strategy: expected one of auto, one, mirrored, multiworker, received 'sideways'",
            ),
            (
                ["--devices", "two"],
                "--devices: expected a number from 1 to 999999, or names such as GPU:0,GPU:1, received 'two'",
            ),
            (["--devices", "0"], "--devices: expected a number"),
            (["--strategy", "multiworker"], "expected TF_CONFIG to name two workers or more, received none"),
            (["--devices", "GPU:77"], "--devices: expected among CPU:0, received GPU:77"),
            (["--devices", "2"], "ask for several before TensorFlow's first operation"),
        ],
        [
            (["--devices", "3", "--set", "training.batch=2"], "expected an image for each of 3 replicas, received 2"),
            (["--strategy", "one", "--devices", "2"], "--strategy one: expected one device, received 2"),
        ],
    ],
    ids=["with one CPU", "with three"],
)
def test_devices_that_cannot_be_are_one_line(refused, tmp_path):
    code = "import json, sys; from tfcollapse.cli.main import main; "
    code += "print([main(each) for each in json.loads(sys.argv[1])])"
    settings = ["--set", "data.name=fashion_mnist_mini", "--set", "training.steps=10", "--out", str(tmp_path / "runs")]
    arguments = [["train", *settings, *each] for each, _ in refused]
    ran = python(code, json.dumps(arguments), CUDA_VISIBLE_DEVICES="-1")
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert json.loads(ran.stdout.splitlines()[-1]) == [2] * len(refused)
    for (_, line), said in zip(refused, ran.stderr.splitlines(), strict=True):
        assert line in said
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        '{"cluster": {"worker": ["a:1", "b:2"]}}',
        '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": 0}}',
        '["cluster"]',
        '{"cluster": 3}',
    ],
)
def test_a_tf_config_that_is_none_is_one_line(text):
    with pytest.raises(ConfigError, match="TF_CONFIG: expected such as"):
        strategy.workers(text)


def test_tf_config_names_this_worker_among_all_of_them():
    cluster = {"chief": ["h0:1"], "worker": ["h1:1", "h2:1"]}
    for kind, index, expected in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        config = {"cluster": cluster, "task": {"type": kind, "index": index}}
        assert strategy.workers(json.dumps(config)) == (expected, 3)
    assert strategy.workers('{"cluster": {"worker": ["h0:1"]}, "task": {"type": "worker", "index": 0}}') is None
    assert strategy.workers("") is None


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_replicas(tmp_path):
    """And its record says on what it ran, each time; its result is that of one device."""
    run = tiny(steps=300, log_every=20, evaluate_every=100, checkpoint_every=100, jit="off")
    (tmp_path / "run.json").write_text(run.to_json())
    code = """
import os, sys
from tfcollapse import Run, train
def stop(progress):
    if progress.step >= int(sys.argv[4]):
        os._exit(9)
train(Run.from_json(open(sys.argv[1]).read()), sys.argv[2], devices=sys.argv[3], report=stop)
"""
    where = (str(tmp_path / "run.json"), str(tmp_path / "moved"))
    for devices, until in (("2", "140"), ("3", "260")):
        ran = python(code, *where, devices, until, CUDA_VISIBLE_DEVICES="-1")
        assert ran.returncode == 9, ran.stderr[-2000:]
    moved, alone = (train(run, tmp_path / place, devices="CPU:0")["train"] for place in ("moved", "alone"))
    assert moved["reconstruction_error"] == pytest.approx(alone["reconstruction_error"], rel=1e-3)
    assert moved["active_units"] == alone["active_units"]
    facts = json.loads((tmp_path / "moved" / run.run_id / "environment.json").read_text())
    sessions = [*facts["earlier"], facts]
    assert [(s["strategy"], s["replicas"], s["resumed_from"]) for s in sessions] == [
        ("mirrored", 2, 0),
        ("mirrored", 3, 100),
        ("one", 1, 200),
    ]

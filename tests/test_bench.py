import json
import time

import numpy as np
import pytest
from processes import ROOT

from tfcollapse.bench import contenders, rivals, steps
from tfcollapse.cli.main import main
from tfcollapse.config.declaration import Data, Network, Objective, Run
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import MINI, load
from tfcollapse.errors import ConfigError
from tfcollapse.models.description import describe
from tfcollapse.reports import bench_page as page

SMALL = Run(data=Data(name=MINI), network=Network(width=16, latent_dim=4))


def test_cases_are_those_of_the_page_and_are_chosen_by_name_or_part_of_it():
    assert set(page.TARGETS) < set(steps.CASES)
    assert len(steps.CASES) == 10
    assert list(steps.chosen_cases("dense-1")) == ["dense-1-ae", "dense-1-vae"]  # and not dense-10
    assert list(steps.chosen_cases("dense-2-vae,convolutional-3-ae")) == ["dense-2-vae", "convolutional-3-ae"]
    assert steps.chosen_cases("all") == steps.CASES
    with pytest.raises(ConfigError, match="--cases"):
        steps.chosen_cases("dense-1,nothing")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ours", "keras_fit", "products", "updates", "drawing"])
def test_a_contender_takes_time_in_proportion_to_its_steps(name):
    run = replace(SMALL, {"network.width": 256})
    images = load(run.data).train
    of = images.shape[1:] if name in ("products", "updates") else images
    call = getattr(contenders, name)(run, of)
    call(20)

    def seconds(count):
        start = time.process_time()
        call(count)
        return time.process_time() - start

    assert min(seconds(400) for _ in range(3)) > 3 * min(seconds(20) for _ in range(3))


def test_our_contender_does_the_updates_it_is_timed_for(monkeypatch):
    done = []
    from tfcollapse.training.tensorflow_engine import TensorFlowEngine

    train_steps = TensorFlowEngine.train_steps
    monkeypatch.setattr(
        TensorFlowEngine, "train_steps", lambda engine, *a: done.append(len(a[0])) or train_steps(engine, *a)
    )
    contenders.ours(SMALL, load(SMALL.data).train)(230)
    assert done == [100, 100, 30]


def test_products_are_the_arithmetic_that_describe_counts():
    run = replace(SMALL, {"network.depth": 3})
    import keras

    counted = []

    def matmul(a, b):
        counted.append(2 * a.shape[0] * a.shape[1] * b.shape[1])
        return keras.ops.numpy.matmul(a, b)

    class Ops:
        def __getattr__(self, name):
            return matmul if name == "matmul" else getattr(keras.ops, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contenders, "ops", Ops())
        patch.setattr(contenders, "compiled", lambda function: function)
        contenders.products(run, (28, 28, 1))(1)
    assert sum(counted) == describe(run, (28, 28, 1))["flops_per_step"]


@pytest.mark.slow
def test_the_bench_answers_and_writes_its_page(tmp_path, capsys):
    settings = ["--set", "network.width=8", "--set", "training.jit=off", "--set", "training.log_every=10"]
    settings += ["--set", "network.norm=layer"]
    arguments = ["bench", *settings, "--windows", "3", "--seconds", "0.02", "--throughput", "0.1"]
    assert main([*arguments, "--json", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "bench-tensorflow.json").read_text())
    assert json.loads(capsys.readouterr().out) == record
    facts = record["cases"]["as set"]
    assert any("GFLOP/s of sgemm in this process: a step" in line for line in page.terminal_lines("as set", facts))
    assert facts["flops_per_step"] == describe(Run(network=Network(width=8)), (28, 28, 1))["flops_per_step"]
    assert facts["network"] == "dense, depth 2, layer norm, VAE"
    assert set(facts["step_ms"]) >= {"tfcollapse", "keras_fit", "products"}
    for name, values in facts["windows_ms"].items():
        assert len(values) == 3, name
        assert min(values) > 0
    ours, fit = (np.array(facts["windows_ms"][name]) for name in ("tfcollapse", "keras_fit"))
    assert facts["speedup_over"]["keras_fit"]["median"] == pytest.approx(np.median(fit / ours))
    rate = facts["flops_per_step"] / ours / 1e6 / np.array(facts["windows_ms"]["sgemm_gflops"])
    assert facts["fraction_of_sgemm"]["tfcollapse"]["median"] == pytest.approx(np.median(rate))
    found = record["throughput"]["as set"]
    # A tenth of a second in windows of 10 steps, and four of these at the least.
    assert found["steps"] == max(4, round(100 / facts["step_ms"]["tfcollapse"]["median"] / 10)) * 10
    assert all(rate > 0 for rate in found["steps_per_second"].values())
    assert found["gain"] == pytest.approx(np.divide(*reversed(list(found["steps_per_second"].values()))))
    text = (tmp_path / "bench.md").read_text()
    assert "| as set |" in text
    assert record["environment"]["commit"] in text
    assert "tfcollapse bench --set network.width=8" in text


def _record(**values):
    window = {"tfcollapse": [2.0], "keras_fit": [5.0], "sgemm_gflops": [300.0]}
    case = {
        "step_ms": {name: steps.spread(window[name]) for name in ("tfcollapse", "keras_fit")},
        "windows_ms": window,
        "flops_per_step": 5e8,
        "first_call_seconds": {"tfcollapse": 1.0},
        "fraction_of_sgemm": {"tfcollapse": steps.spread([0.6])},
        "speedup_over": {"keras_fit": steps.spread([2.4])},
    }
    return {
        "backend": "tensorflow",
        "command": "tfcollapse bench",
        "windows": 1,
        "device": "CPU",
        "environment": {"versions": {"keras": "3"}, "commit": "abc", "machine": "here"},
        "cases": {"dense-2-vae": case},
    } | values


def test_the_page_says_which_targets_are_reached_and_what_was_not_measured(tmp_path):
    page.write(tmp_path, _record())
    page.write(tmp_path, _record(backend="jax", command="KERAS_BACKEND=jax tfcollapse bench"))
    text = (tmp_path / "bench.md").read_text()
    assert "| dense-2-vae | Keras `fit` | 2.5 | 2.40: not reached |" in text
    assert "| dense-2-vae | sgemm | 0.55 | 0.60: reached |" in text
    assert "| dense-2-vae | pythae | 3.0 | not measured: not installed |" in text
    assert text.index("## TensorFlow") < text.index("## JAX")


@pytest.mark.parametrize(
    "network",
    [
        Network(depth=2, width=16),
        Network(depth=2, width=16, norm="layer"),
        Network(architecture="convolutional", base_channels=2),
    ],
)
@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_rivals_train_the_same_networks(network, kind):
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'tfcollapse[bench]'")
    run = Run(network=network, objective=Objective(kind=kind))
    images = np.random.default_rng(0).integers(0, 256, (128, 32, 32, 3), dtype=np.uint8)
    for name in rivals.installed():
        rivals.rival(name, run, images)(2)  # which asserts that the parameters are as many


@pytest.mark.parametrize(
    ("architecture", "named"), [("skip_dense", "SkipDenseDecoder"), ("residual_dense", "encoder_2")]
)
def test_no_rival_stands_in_for_a_network_with_skip_connections(architecture, named):
    run, images = Run(network=Network(architecture=architecture, depth=2, width=16)), np.zeros((2, 8, 8, 1), np.uint8)
    with pytest.raises(NotImplementedError, match=named):
        rivals.task(run, images)
    assert rivals.start_all(run, images) == {}  # it is timed against the others


def test_the_guide_s_speeds_are_those_of_the_committed_record():
    cases = json.loads((ROOT / "results" / "bench-tensorflow.json").read_text())["cases"]
    guide = (ROOT / "tfcollapse" / "bench" / "README.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in guide.splitlines() if line.startswith("| `")]
    assert len(rows) == 5
    for name, milliseconds, *ratios, fraction in rows:
        case = cases[name.strip("`")]
        assert float(milliseconds) == pytest.approx(case["step_ms"]["tfcollapse"]["median"], rel=5e-3)
        rivals = [case["speedup_over"][rival]["median"] for rival in ("keras_fit", "pytorch", "pythae")]
        assert [float(ratio) for ratio in ratios] == pytest.approx(rivals, abs=0.005)
        assert float(fraction) == pytest.approx(case["fraction_of_sgemm"]["tfcollapse"]["median"], abs=0.005)

"""Mixed precision: the networks compute in half, and gamma, the KL, the errors and the weights stay float32."""

import json

import numpy as np
import pytest
import tensorflow as tf
from examples import tiny
from processes import python

from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.config.declaration import Network
from tfcollapse.config.objective import Objective
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import load
from tfcollapse.models.autoencoder import load_model
from tfcollapse.models.build import build
from tfcollapse.training.batches import batches_for_steps
from tfcollapse.training.tensorflow_engine import TensorFlowEngine
from tfcollapse.training.trainer import train

LEARNED = Objective(gamma_start=0.1)
FORTY = {"log_every": 40, "evaluate_every": 40, "checkpoint_every": 40}


def _products(model):
    """The types of every matrix product and convolution of a forward pass."""
    traced = tf.function(lambda x, z: model.loss_terms(x, z, 0)).get_concrete_function(
        tf.zeros((4, *model.image_shape)), tf.zeros((4, model.latent_dim))
    )
    kinds = ("MatMul", "Conv2D", "Conv2DBackpropInput")
    return {op.outputs[0].dtype.name for op in traced.graph.get_operations() if op.type in kinds}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "float16"])
def test_products_are_in_half_and_everything_after_them_in_full(precision, architecture):
    own = {"base_channels": 2} if "base_channels" in ARCHITECTURES[architecture].fields else {}
    network = Network(architecture=architecture, depth=1, latent_dim=3, **own)
    run = replace(tiny(), {"network": network, "training.precision": precision})
    model = TensorFlowEngine(build(run, (32, 32, 3)), run.training, jit=False).model
    assert _products(model) == {"float32" if precision == "tf32" else precision}
    terms = model.loss_terms(np.zeros((4, 32, 32, 3), np.float32), np.zeros((4, 3), np.float32), 0)
    assert {tf.convert_to_tensor(term).dtype.name for term in terms} == {"float32"}
    assert {variable.dtype for variable in model.weights} == {"float32"}
    assert tf.config.experimental.tensor_float_32_execution_enabled() == (precision == "tf32")


def _trained(precision, jit):
    run = tiny(objective=LEARNED, precision=precision, jit=jit, **FORTY)
    images = load(run.data).train
    engine = TensorFlowEngine(build(run, images.shape[1:]), run.training, jit=jit != "off")
    return engine, engine.train_steps(*batches_for_steps(run, images, 0, run.training.log_every))


@pytest.mark.slow
@pytest.mark.parametrize("jit", ["on", "off"])
@pytest.mark.parametrize(("precision", "digits"), [("bfloat16", 2e-2), ("float16", 3e-3)])
def test_half_precision_trains_as_full_does_to_its_own_digits(precision, digits, jit):
    _, full = _trained("float32", jit=jit)
    engine, half = _trained(precision, jit=jit)
    skipped = len(half["loss"]) - int(engine.optimizer.iterations)
    if precision == "float16":  # gradients of 784 / gamma times 2^15 overflow: the scale falls until they do not
        assert 1 <= skipped < 15
        assert float(engine.optimizer.dynamic_scale) == 2.0**15 / 2**skipped
    else:
        assert skipped == 0
    assert 0 < np.abs(half["loss"][0] - full["loss"][0]) < digits * np.abs(full["loss"][0])
    done = len(half["loss"]) - skipped
    assert half["reconstruction_error"][-1] == pytest.approx(full["reconstruction_error"][done - 1], rel=0.1)
    assert half["gamma"][-1] == pytest.approx(full["gamma"][done - 1], rel=1e-4)


def test_the_evaluation_and_the_model_kept_are_of_full_precision(tmp_path):
    run = tiny(objective=LEARNED, precision="bfloat16")
    result = train(run, tmp_path)
    model = load_model(tmp_path / run.run_id / "model.keras")
    assert _products(model) == {"float32"}
    images = load(run.data).train[:].astype(np.float32) / 255.0
    error = np.mean((images - model.reconstruct(images).numpy()) ** 2, dtype=np.float64)
    assert result["train"]["reconstruction_error_at_mean"] == pytest.approx(error, rel=1e-5)
    assert "bfloat16" in (tmp_path / run.run_id / "config.json").read_text()


@pytest.mark.slow
def test_a_float16_run_is_resumed_bit_for_bit_with_its_scale(tmp_path):
    run = tiny(objective=LEARNED, precision="float16", steps=40)
    images = load(run.data).train
    first = TensorFlowEngine(build(run, images.shape[1:]), run.training, jit=True)
    first.train_steps(*batches_for_steps(run, images, 0, 10))
    second = TensorFlowEngine(build(run, images.shape[1:]), run.training, jit=True)
    second.restore(first.state())
    for engine in (first, second):
        engine.train_steps(*batches_for_steps(run, images, 10, 10))
    assert all(np.array_equal(value, second.state()[name]) for name, value in first.state().items())
    assert any("dynamic_scale" in name for name in first.state())


@pytest.mark.slow
def test_an_overflow_on_one_replica_skips_the_step_on_all():
    code = """
import sys; sys.path.insert(0, "tests/tools")
import json
import numpy as np
from examples import tiny
from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.config.objective import Objective
from tfcollapse.training import strategy
from tfcollapse.models.build import build
from tfcollapse.training.tensorflow_engine import TensorFlowEngine
run = tiny(objective=Objective(gamma="fixed", gamma_start=1000.0), precision="float16")
with strategy.make("auto", "2").scope():
    engine = TensorFlowEngine(build(run, (28, 28, 1)), run.training, jit=False)
images = np.random.default_rng(0).integers(0, 255, (1, 16, 28, 28, 1), dtype=np.uint8)
noise, found = np.zeros((2, 1, 16, 6), np.float32), []
noise[1, 0, -1] = 1e9  # one image, of the second replica's, whose latents float16 cannot hold
for each in noise:
    engine.train_steps(images, each)
    state = engine.state()
    found.append([int(engine.optimizer.iterations.numpy()), float(engine.optimizer.dynamic_scale.numpy())])
    assert all(np.isfinite(value).all() for value in state.values())
print(json.dumps(found))
"""
    ran = python(code, CUDA_VISIBLE_DEVICES="-1")
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert json.loads(ran.stdout) == [[1, 2.0**15], [1, 2.0**14]]


@pytest.mark.slow
def test_the_scale_at_which_a_step_overflows_is_that_of_one_device():
    """Replicas' parts of a sum are smaller than the sum, which is what one device holds in float16."""
    code = """
import sys; sys.path.insert(0, "tests/tools")
import json
from examples import tiny
from tfcollapse.config.objective import Objective
from tfcollapse.data.dataset import load
from tfcollapse.models.build import build
from tfcollapse.training import strategy
from tfcollapse.training.batches import batches_for_steps
from tfcollapse.training.tensorflow_engine import TensorFlowEngine
run = tiny(objective=Objective(gamma_start=0.1), precision="float16")
images, found = load(run.data).train, []
batch = batches_for_steps(run, images, 0, 1)
for devices in "31":  # one process holds one group of replicas
    with strategy.make("auto", devices).scope():
        engine = TensorFlowEngine(build(run, images.shape[1:]), run.training, jit=False)
    start, done = engine.state(), []
    for power in range(20):
        engine.restore(start)
        engine.optimizer.dynamic_scale.assign(2.0**power)
        engine.train_steps(*batch)
        done.append(int(engine.optimizer.iterations.numpy()))
    found.append(done)
print(json.dumps(found))
"""
    ran = python(code, CUDA_VISIBLE_DEVICES="-1")
    assert ran.returncode == 0, ran.stderr[-2000:]
    three, one = json.loads(ran.stdout)
    assert 0 < sum(one) < len(one)
    assert three == one

"""An export's signatures survive the usual converters: names, answers, and batches of any size."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf

import tfcollapse
from tfcollapse.models import networks

CONVERTED = ["encode", "decode", "reconstruct", "serving_default"]
"""All but `sample`, whose draws are operations of TensorFlow alone."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A convolutional VAE as a SavedModel, by its path."""
    network = tfcollapse.Network(architecture="convolutional", depth=1, base_channels=2, latent_dim=3)
    model = tfcollapse.Autoencoder(*networks.build(network, (32, 32, 1), variational=True, seed=0))
    path = tmp_path_factory.mktemp("exported") / "vae"
    tfcollapse.export(model, path)
    return str(path)


def _inputs(signature, rows):
    specs = signature.structured_input_signature[1]
    draws = np.random.default_rng(rows)
    return {name: draws.random((rows, *spec.shape[1:]), np.float32) for name, spec in specs.items()}


def _check(exported, answer):
    """Compare `answer(signature name, inputs)` with the export's own."""
    signatures = tf.saved_model.load(exported).signatures
    for name in CONVERTED:
        for rows in (1, 5):
            inputs = _inputs(signatures[name], rows)
            wanted = signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
            received = answer(name, inputs)
            assert sorted(received) == sorted(wanted)
            for key, value in wanted.items():
                assert np.abs(received[key] - value.numpy()).max() < 1e-5, (name, key, rows)


@pytest.mark.slow
def test_tflite(exported):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    converter = tf.lite.TFLiteConverter.from_saved_model(exported, signature_keys=CONVERTED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = converter.convert()
    reader = interpreter.Interpreter(model_content=content)
    assert sorted(reader.get_signature_list()) == sorted(CONVERTED)
    _check(exported, lambda name, inputs: reader.get_signature_runner(name)(**inputs))


@pytest.mark.slow
def test_onnx(exported, tmp_path):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    sessions = {}
    for name in CONVERTED:
        options = ["--saved-model", exported, "--tag", "serve", "--signature_def", name, "--opset", "18"]
        command = [sys.executable, "-m", "tf2onnx.convert", *options, "--output", tmp_path / name]
        ran = subprocess.run(command, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr[-2000:]
        sessions[name] = runtime.InferenceSession(tmp_path / name)

    def answer(name, inputs):
        outputs = [output.name for output in sessions[name].get_outputs()]
        return dict(zip(outputs, sessions[name].run(outputs, inputs), strict=True))

    _check(exported, answer)

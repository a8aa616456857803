"""An export answers as the model does, in a process that knows nothing of this package."""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from examples import tiny
from processes import command, python

import tfcollapse
from tfcollapse.cli.main import main
from tfcollapse.config.declaration import Network, Objective
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import load
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.exports import reload_check
from tfcollapse.exports.saved_model import METADATA, export, export_run
from tfcollapse.models.autoencoder import load_model
from tfcollapse.models.build import build
from tfcollapse.training.trainer import train

CONVOLUTIONAL = replace(
    tiny(), {"network": Network(architecture="convolutional", depth=1, base_channels=2, latent_dim=3)}
)


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    """A finished VAE."""
    out = tmp_path_factory.mktemp("runs")
    train(tiny(objective=Objective(gamma_start=0.1)), out)
    (found,) = out.iterdir()
    return found


@pytest.fixture(scope="module")
def exports(run_directory, tmp_path_factory):
    """`exports(input_type)`: what `export_run` said, once; the export is `input_type` in `exports.folder`."""
    folder = tmp_path_factory.mktemp("exports")
    made = functools.cache(lambda kind: export_run(run_directory, folder / kind, input_type=kind))
    made.folder = folder
    return made


@pytest.mark.parametrize("input_type", ["float32", pytest.param("uint8", marks=pytest.mark.slow)])
def test_an_export_is_reloaded_in_a_fresh_process_and_says_what_it_takes_and_gives(input_type, exports):
    found = exports(input_type)
    assert found["largest_difference"] <= 1e-6
    assert found["imported_of_tfcollapse"] == 0
    images = f"{input_type} [None, 28, 28, 1]"
    moments, pixels = "float32 [None, 6]", "float32 [None, 28, 28, 1]"
    both = {"mean": moments, "log_variance": moments}
    assert found["signatures"] == {
        "encode": {"inputs": {"images": images}, "outputs": both},
        "decode": {"inputs": {"latents": moments}, "outputs": {"reconstructions": pixels}},
        "reconstruct": {"inputs": {"images": images}, "outputs": {"reconstructions": pixels}},
        "sample": {"inputs": {"count": "int32 []", "seed": "int32 []"}, "outputs": {"samples": pixels}},
        "serving_default": {"inputs": {"images": images}, "outputs": both | {"reconstructions": pixels}},
    }


STRANGER = """
import contextlib, json, runpy, sys, numpy as np, tensorflow as tf
folder, tool = sys.argv[1:]
for kind in ("float32", "uint8"):
    model = tf.saved_model.load(f"{folder}/{kind}")
    images = tf.constant(np.load(f"{folder}/images-{kind}.npy"))
    answers = model.signatures["serving_default"](images=images)
    sample = model.signatures["sample"]
    one, two, other = (sample(count=tf.constant(4), seed=tf.constant(seed))["samples"] for seed in (1, 1, 2))
    np.savez(f"{folder}/answers-{kind}.npz", one=one, two=two, other=other, **answers)
    print(json.dumps(json.load(open(f"{folder}/{kind}/assets.extra/tfcollapse.json"))))
which = ["--dir", f"{folder}/float32", "--tag_set", "serve", "--signature_def", "decode"]
for arguments in (["show", *which], ["run", *which, "--inputs", f"latents={folder}/latents.npy", "--outdir", folder]):
    sys.argv = [tool, *arguments]
    with contextlib.suppress(SystemExit):
        runpy.run_path(tool, run_name="__main__")
assert not any(name.startswith("tfcollapse") for name in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.slow
def test_commands_that_start_tensorflow_print_nothing_of_its_start(run_directory, tmp_path):
    for arguments in (("diagnose", run_directory), ("export", run_directory, tmp_path / "export")):
        assert command(*map(str, arguments)).stderr == ""


def test_exports_answer_as_the_model_where_this_package_is_not_and_saved_model_cli_runs_one(run_directory, exports):
    folder, wholes = exports.folder, load(tiny().data).test[:5]
    np.save(folder / "images-uint8.npy", wholes)
    np.save(folder / "images-float32.npy", wholes / np.float32(255))
    np.save(folder / "latents.npy", np.ones((2, 6), np.float32))
    for input_type in ("float32", "uint8"):
        exports(input_type)
    tool = pathlib.Path(sys.executable).with_name("saved_model_cli")
    ran = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, folder, tool], capture_output=True, text=True, env=os.environ
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    *said, shown = ran.stdout.split("\n", 2)
    model, pixels = load_model(run_directory / "model.keras"), wholes / np.float32(255)
    posterior = model.encode(pixels)
    wanted = {
        "mean": posterior.mean,
        "log_variance": posterior.log_variance,
        "reconstructions": model.reconstruct(pixels),
    }
    for input_type, line in zip(("float32", "uint8"), said, strict=True):
        answers = np.load(folder / f"answers-{input_type}.npz")
        for name, values in wanted.items():
            assert np.abs(answers[name] - values).max() < 1e-6, name
        assert np.array_equal(answers["one"], answers["two"])
        assert np.abs(answers["one"] - answers["other"]).max() > 1e-3
        assert np.abs(answers["one"] - model.sample(4, seed=1)).max() < 1e-6
        facts = json.loads(line)
        assert facts["gamma"] == pytest.approx(float(model.gamma))
        assert tfcollapse.Run.from_json(json.dumps(facts["config"])).run_id == facts["run_id"] == run_directory.name
        assert facts["images"].startswith(input_type)
    assert "inputs['latents']" in shown
    assert "shape: (-1, 6)" in shown
    decoded = np.load(folder / "reconstructions.npy")
    assert np.abs(decoded - model.decode(np.ones((2, 6), np.float32))).max() < 1e-6


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("objective", [Objective(kind="ae"), Objective(gamma="optimal")])
@pytest.mark.parametrize(
    "network",
    [
        CONVOLUTIONAL.network,
        Network(architecture="residual", depth=1, base_channels=2),
        Network(architecture="skip_dense", depth=2, width=8),
        Network(architecture="residual_dense", depth=3, width=8, norm="layer"),
    ],
)
def test_every_architecture_exports_without_training(network, objective, tmp_path):
    model = build(replace(tiny(objective=objective), {"network": network}), (32, 32, 3))
    found = tfcollapse.export(model, tmp_path / "model", input_type="uint8")
    assert ("sample" in found["signatures"]) == model.variational
    assert ("log_variance" in found["signatures"]["encode"]["outputs"]) == model.variational
    assert (json.loads((tmp_path / "model" / METADATA).read_text())["gamma"] is None) == (not model.variational)


@pytest.mark.slow
def test_a_keras_file_is_checked_too(run_directory, tmp_path):
    found = export_run(run_directory, tmp_path / "vae.keras")
    assert found["largest_difference"] <= 1e-6
    assert load_model(tmp_path / "vae.keras").objective == load_model(run_directory / "model.keras").objective


@pytest.mark.slow
def test_a_model_trained_on_replicas_exports(tmp_path):
    code = """
import sys; sys.path.insert(0, "tests/tools")
from examples import tiny
import tfcollapse, pathlib
from tfcollapse.training import strategy
from tfcollapse.exports.saved_model import export_run, export
out = pathlib.Path(sys.argv[1])
result = tfcollapse.train(tiny(), out / "runs", devices="2")
print(export_run(out / "runs" / result["run_id"], out / "run")["largest_difference"])
with strategy.make(devices="2").scope():
    model = tfcollapse.load_model(out / "runs" / result["run_id"] / "model.keras")
print(type(model.log_gamma.value).__name__, export(model, out / "mirrored")["largest_difference"])
"""
    ran = python(code, str(tmp_path), CUDA_VISIBLE_DEVICES="-1")
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.split() == ["0.0", "MirroredVariable", "0.0"]


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_an_existing_target_is_kept_unless_forced_and_nothing_else_is_ever_replaced(run_directory, tmp_path, capfd):
    target = tmp_path / "vae"
    assert command("export", str(run_directory), str(target)).returncode == 0
    before = (target / "saved_model.pb").read_bytes()
    assert main(["export", str(run_directory), str(target), "--input", "uint8"]) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "--force to replace it" in said
    assert (target / "saved_model.pb").read_bytes() == before
    assert main(["export", str(run_directory), str(target), "--input", "uint8", "--force"]) == 0
    assert "uint8" in json.loads((target / METADATA).read_text())["images"]
    assert [path.name for path in tmp_path.iterdir()] == ["vae"], "something was left behind"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all I have")
    with pytest.raises(ConfigError, match="replaces an earlier export, and this is none"):
        export_run(run_directory, tmp_path / "mine", force=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_an_export_that_answers_otherwise_is_no_export(run_directory, tmp_path, monkeypatch):
    """Its weights are moved by a thousandth between the comparison's two sides."""
    whole = tf.saved_model.save

    def wrong(*arguments, **named):
        model.encoder.mean.kernel.assign(model.encoder.mean.kernel * 1.001)
        whole(*arguments, **named)
        model.encoder.mean.kernel.assign(model.encoder.mean.kernel / 1.001)

    model = load_model(run_directory / "model.keras")
    monkeypatch.setattr(tf.saved_model, "save", wrong)
    with pytest.raises(RunError, match="does not answer as this one does: .*: differs by"):
        export(model, tmp_path / "vae")
    assert not list(tmp_path.iterdir())


def test_a_run_that_has_not_finished_and_a_full_disk_are_one_line(run_directory, tmp_path, small_disk):
    unfinished = tmp_path / run_directory.name
    shutil.copytree(run_directory, unfinished)
    (unfinished / "result.json").unlink()
    with pytest.raises(RunError, match="expected a finished run"):
        export_run(unfinished, tmp_path / "vae")
    with pytest.raises(RunError, match="there is no such directory"):
        export_run(tmp_path / "nothing", tmp_path / "vae")
    (small_disk / "filler").write_bytes(b"x" * (4 << 20))
    with pytest.raises(RunError, match="No space left on device: free space"):
        export_run(run_directory, small_disk / "vae")
    assert [path.name for path in small_disk.iterdir()] == ["filler"]
    with pytest.raises(ConfigError, match=r"expected a tfcollapse.Autoencoder or \(encoder, decoder\), received str"):
        export("model", tmp_path / "vae")


@pytest.mark.parametrize(("received", "status"), [(1.0, 0), (1.0 + 1e-7, 0), (1.1, 1), (np.nan, 1), (np.inf, 1)])
def test_an_answer_that_differs_or_is_nan_is_refused(received, status, tmp_path, capsys):
    np.savez(tmp_path / "inputs.npz", x=np.zeros(3))
    np.savez(tmp_path / "expected.npz", first=np.ones(3), second=np.ones(3))
    answers = {"first": np.array([received, 1, 1]), "second": np.ones(3)}
    assert reload_check.main("export", tmp_path, lambda *_: (answers, {})) == status
    assert ("first: differs by" in capsys.readouterr().err) == bool(status)


@pytest.mark.parametrize("name", ["vae", "vae.keras"])
def test_a_model_that_answers_nan_is_not_exported(name, tmp_path):
    model = build(tiny(), (28, 28, 1))
    model.decoder.weights[-1].assign(np.full(model.decoder.weights[-1].shape, np.nan))
    with pytest.raises(ConfigError, match="export: expected finite answers of the model, received NaN or infinity in"):
        export(model, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_check_itself_imports_nothing_of_ours():
    source = pathlib.Path(reload_check.__file__).read_text()
    assert "import tfcollapse" not in source
    assert "from tfcollapse" not in source

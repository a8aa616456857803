"""A .keras file of anybody's, and networks that are counted before they are made."""

import io
import json
import os
import stat
import zipfile

import h5py
import keras
import numpy as np
import pytest
from examples import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from strangers import FUZZ, changed, one_line

import tfcollapse
from tfcollapse.config.declaration import Network
from tfcollapse.config.overrides import replace
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.models import keras_file
from tfcollapse.models.build import build
from tfcollapse.models.memory import parameters


def test_parameters_are_counted_without_making_them():
    model = build(tiny(), (28, 28, 1))
    assert parameters(lambda: build(tiny(), (28, 28, 1))) == model.count_params()
    huge = replace(tiny(), {"network": Network(width=1 << 20, depth=50)})
    with pytest.raises(ConfigError):
        build(huge, (28, 28, 1))
    with keras.StatelessScope():  # nothing is left behind that this would allocate
        pass


@settings(FUZZ, max_examples=40)
@given(st.data())
def test_any_keras_file_is_a_model_or_one_line(finished, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("model", numbered=True) / "model.keras"
    with zipfile.ZipFile(finished / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if data.draw(st.booleans()):
        tree = json.loads(members["config.json"])
        members["config.json"] = json.dumps(data.draw(changed(tree))).encode()
    else:
        name = data.draw(st.sampled_from(sorted(members)))
        content = bytearray(members[name])
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=20)):
            content[place] ^= data.draw(st.integers(1, 255))
        members[name] = bytes(content)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with one_line():
        tfcollapse.load_model(path)


def test_a_keras_file_with_code_or_of_a_huge_layer_is_refused_and_does_nothing(tmp_path):
    marker = tmp_path / "executed"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    inputs = keras.Input((4,))
    outputs = keras.layers.Lambda(eval(f"lambda x: (x, {code})[0]"), output_shape=(4,))(inputs)
    marker.unlink(missing_ok=True)
    keras.Model(inputs, outputs).save(tmp_path / "code.keras")
    marker.unlink(missing_ok=True)
    with pytest.raises(RunError, match="of the class Lambda, which holds code"):
        keras_file.read(tmp_path / "code.keras")
    assert not marker.exists()
    small = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    small.save(tmp_path / "small.keras")
    assert keras_file.read(tmp_path / "small.keras").count_params() == 15
    with zipfile.ZipFile(tmp_path / "small.keras") as archive, zipfile.ZipFile(tmp_path / "huge.keras", "w") as huge:
        for name in archive.namelist():
            text = archive.read(name)
            huge.writestr(
                name, text.replace(b'"units": 3', b'"units": 300000000000') if name == "config.json" else text
            )
    with pytest.raises(RunError, match="expected a network that fits"):
        keras_file.read(tmp_path / "huge.keras")
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("config.json", b"{" + b" " * (64 << 20) + b"}")
    with pytest.raises(RunError, match="unpack to"):
        keras_file.read(tmp_path / "bomb.keras")


class Sampling(keras.layers.Layer):
    """The layer of the tutorials; it is not registered."""

    def call(self, moments):
        return moments[0] + keras.ops.exp(0.5 * moments[1])


@pytest.fixture(scope="module")
def encoder():
    """An encoder of three outputs as tutorials have it; the first two are layers of Keras' own."""
    images = keras.Input((4, 4, 1))
    flat = keras.layers.Flatten()(images)
    mean, log_variance = keras.layers.Dense(2, name="mean")(flat), keras.layers.Dense(2, name="log_variance")(flat)
    return keras.Model(images, [mean, log_variance, Sampling()([mean, log_variance])])


def _own_function(values):
    return values


def test_a_custom_layer_is_named_with_its_way_out(encoder, tmp_path):
    path = tmp_path / "encoder.keras"
    encoder.save(path)
    with pytest.raises(
        RunError, match="layer 'sampling.*' of the class Sampling, which is not registered: save"
    ) as said:
        keras_file.read(path)
    assert str(said.value).endswith("keras.Model(e.inputs, e.outputs[:2]).save(...)")
    keras.Model(encoder.inputs, encoder.outputs[:2]).save(path)
    assert len(keras_file.read(path).outputs) == 2


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (lambda: keras.layers.Lambda(lambda x: x, name="twice"), "layer 'twice' of the class Lambda, which holds code"),
        (lambda: keras.layers.Dense(2, activation=lambda x: x, name="own"), "layer 'own' of the class Dense, which"),
        (lambda: keras.layers.Dense(2, activation=_own_function), "the function '_own_function', which is not"),
    ],
)
def test_code_is_named_by_its_layer(layer, said, encoder, tmp_path):
    keras.Model(encoder.inputs, layer()(encoder.outputs[0])).save(tmp_path / "own.keras")
    with pytest.raises(RunError, match=f"{said}.*: use the model from Python"):
        keras_file.read(tmp_path / "own.keras")


def _changed(whole, path, weights=None, **members):
    """Write the .keras file `whole` to `path`, with other members, and its weights after `weights` has changed them."""
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(path, "w") as other:
        for name in archive.namelist():
            content = members.get(name.split(".")[0], archive.read(name))
            if weights and name.endswith(".h5"):
                held = io.BytesIO(content)
                with h5py.File(held, "r+") as file:
                    weights(file)
                content = held.getvalue()
            other.writestr(name, content)


def _nest(file):
    for _ in range(3_000):
        file = file.create_group("a")


def _sparse_weights(file):
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", (1 << 20, 1 << 20), "f4", chunks=(1, 1 << 10))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A .keras file of one layer."""
    path = tmp_path_factory.mktemp("whole") / "whole.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")]).save(path)
    return path


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (lambda file: file.create_dataset("more", (10**12,), "f4", chunks=(1 << 10,)), "bytes that claim 40000000"),
        (lambda file: file.create_dataset("more", data=np.zeros(1 << 24, "i1"), compression="gzip"), "that claim 16"),
        (_sparse_weights, "bytes that claim 4398046"),
        (_nest, "nested too deeply"),
        (lambda file: file.__setitem__("away", h5py.ExternalLink("/etc/passwd", "/")), "a link 'away'"),
        (lambda file: file.__setitem__("away", h5py.SoftLink("/layers")), "a link 'away'"),
        (lambda file: file.create_dataset("away", (5,), "i1", external=[("/etc/passwd", 0, 5)]), "lie in another file"),
    ],
)
def test_weights_that_claim_more_than_they_hold_or_lie_elsewhere_are_refused(weights, said, whole, tmp_path):
    _changed(whole, tmp_path / "model.keras", weights)
    with pytest.raises(RunError, match=said):
        keras_file.read(tmp_path / "model.keras")


def _link(archive):
    member = zipfile.ZipInfo("assets")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(member, "/etc")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("add", "said"),
    [
        (lambda archive: archive.writestr("config.json", "{}"), "holds 'config.json' twice"),
        (lambda archive: archive.writestr("/etc/passwd", ""), "a member '/etc/passwd'"),
        (lambda archive: archive.writestr("assets/../../own", ""), "a member 'assets/../../own'"),
        (_link, "member 'assets' is no file"),
    ],
)
def test_an_archive_with_tricks_is_refused(add, said, whole, tmp_path):
    _changed(whole, tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras", "a") as archive:
        add(archive)
    with pytest.raises(RunError, match=said):
        keras_file.read(tmp_path / "model.keras")


def test_what_is_no_archive_is_said_to_be_what_it_is(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "text").write_text("a model")
    with zipfile.ZipFile(tmp_path / "empty", "w"):
        pass
    for path, said in [
        (tmp_path / "missing", "there is no such file"),
        ("", "model '': expected the path of a .keras file"),
        (tmp_path, "received a directory"),
        (tmp_path / "fifo", "received a FIFO"),
        ("/dev/zero", "received a device"),
        (tmp_path / "text", "File is not a zip file"),
        (tmp_path / "empty", "an archive without config.json"),
    ]:
        with pytest.raises(RunError, match=said):
            keras_file.read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "x"},
        {"objective": {"kind": "gan"}},
        {"objective": {"x": 1}},
        {"seed": "x"},
        {"latent_dim": 10**12},
    ],
)
def test_a_declaration_in_a_file_that_cannot_be_right_is_said_with_the_file(change, tmp_path):
    build(tiny(), (28, 28, 1)).save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as archive:
        config = json.loads(archive.read("config.json"))
    config["config"] |= change
    _changed(tmp_path / "whole.keras", tmp_path / "other.keras", config=json.dumps(config).encode())
    with pytest.raises(RunError, match="^model '.*other.keras': "):
        keras_file.read(tmp_path / "other.keras")


def test_a_configuration_nested_too_deeply_is_one_line(whole, tmp_path):
    _changed(whole, tmp_path / "json.keras", config=b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    with pytest.raises(RunError, match="nested too deeply"):
        keras_file.read(tmp_path / "json.keras")
    layer = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}, "registered_name": None}
    for level in range(300):
        layer = layer | {"class_name": "TimeDistributed", "config": {"layer": layer, "name": f"t{level}"}}
    _changed(whole, tmp_path / "layers.keras", config=json.dumps(layer).encode())
    with one_line():
        keras_file.read(tmp_path / "layers.keras")

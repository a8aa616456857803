"""A .keras file of anybody's, and networks that are counted before they are made."""

import json
import zipfile

import keras
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
    with pytest.raises(RunError, match="without code in it"):
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

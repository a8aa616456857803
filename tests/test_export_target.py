"""An export stands at its target whole or not at all, and replaces nothing there but an earlier export."""

import contextlib
import json
import os
import pathlib
import signal
import zipfile

import keras
import pytest
from examples import tiny

from tfcollapse.errors import ConfigError, RunError
from tfcollapse.exports.target import METADATA, check_target, replacing_export
from tfcollapse.models import keras_file
from tfcollapse.models.autoencoder import load_model
from tfcollapse.models.build import build


def _export(target, text="one", metadata=None):
    """What an export of ours looks like."""
    (target / METADATA).parent.mkdir(parents=True)
    (target / METADATA).write_text(json.dumps(metadata or {"tfcollapse": "0.1.0"}))
    (target / "saved_model.pb").write_text(text)
    (target / "variables").mkdir()
    (target / "variables" / "variables.index").write_text("")


def _text(target):
    return (target / "saved_model.pb").read_text()


def _beside(target):
    return sorted(path.name for path in target.parent.iterdir())


def _written(target):
    """Which file stands there, and when it was written; not when it was read."""
    found = target.lstat()
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns


def _foreign_saved_model(target):
    _export(target, metadata={"author": "somebody"})


def _bare_saved_model(target):
    target.mkdir()
    (target / "saved_model.pb").write_text("a model")


def _with_a_thesis(target):
    _export(target)
    (target / "thesis.txt").write_text("all I have")


def _with_requests_for_serving(target):
    _export(target)
    (target / "assets.extra" / "tf_serving_warmup_requests").write_text("")


def _with_a_link(target):
    _export(target)
    (target / "variables" / "variables.data-00000-of-00001").symlink_to("/etc/passwd")


def _link(target):
    _export(target.with_name("real"))
    target.symlink_to("real")


def _dangling_link(target):
    target.symlink_to("nowhere")


def _foreign_keras_file(target):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.save(target.with_name("of_another.keras"))
    target.with_name("of_another.keras").rename(target)


def _archive_that_only_says_so(target):
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("thesis.txt", "tfcollapse>Autoencoder")


def _model(target, *, compiled):
    model = build(tiny(), (28, 28, 1))
    if compiled:
        model.compile("adam")
    model.save(target.with_suffix(".keras"))
    target.with_suffix(".keras").rename(target)


def _checkpoint_of_a_training(target):
    _model(target, compiled=True)


FOREIGN = [
    _checkpoint_of_a_training,
    _foreign_saved_model,
    _bare_saved_model,
    _with_a_thesis,
    _with_requests_for_serving,
    _with_a_link,
    _link,
    _dangling_link,
    _foreign_keras_file,
    _archive_that_only_says_so,
    os.mkfifo,
]


@pytest.mark.parametrize("make", FOREIGN)
def test_what_is_not_an_export_of_ours_is_never_replaced(make, tmp_path):
    target = tmp_path / "mine"
    make(target)
    before = _beside(target), _written(target)
    for force in (False, True):
        with pytest.raises(ConfigError, match="replaces an earlier export, and this is none" if force else "exists"):
            check_target(target, force)
    assert (_beside(target), _written(target)) == before


@pytest.mark.parametrize("name", ["", "..", ".", "a\0b", "\udcff", "x" * 300, "x.h5", "x.KERAS", ".keras"])
def test_a_target_that_cannot_be_is_one_line(name, tmp_path):
    with pytest.raises((ConfigError, RunError)):
        check_target(tmp_path / name, force=True)


def test_an_earlier_export_is_replaced_in_one_step_or_stays(tmp_path):
    target = tmp_path / "vae"
    _export(target)
    with contextlib.suppress(KeyboardInterrupt), replacing_export(target, force=True) as partial:
        _export(partial, "two")
        raise KeyboardInterrupt
    assert _text(target) == "one"
    with replacing_export(target, force=True) as partial:
        _export(partial, "two")
        assert _text(target) == "one"
    assert _text(target) == "two"
    assert _beside(target) == ["vae"]


def test_an_export_of_a_compiled_model_says_that_it_is_one(tmp_path):
    target = tmp_path / "vae.keras"
    _model(target, compiled=False)  # as an earlier version wrote it
    check_target(target, force=True)
    _model(target, compiled=True)
    keras_file.mark_as_export(target)
    check_target(target, force=True)
    assert load_model(target).latent_dim == 6


def test_a_message_names_the_target_and_not_the_folder_beside_it(tmp_path):
    said = []
    try:
        with replacing_export(tmp_path / "vae.keras", force=False) as partial:
            raise RunError(f"model '{partial}': expected another")
    except RunError as error:
        said.append(str(error))
    assert said == [f"model '{tmp_path / 'vae.keras'}': expected another"]


def test_what_appears_at_the_target_meanwhile_is_not_replaced(tmp_path):
    target = tmp_path / "vae"
    said = []
    try:
        with replacing_export(target, force=False) as partial:
            _export(partial, "two")
            _export(target)
    except ConfigError as error:
        said.append(str(error))
    assert "exists" in said[0]
    assert _text(target) == "one"
    assert _beside(target) == ["vae"]


def _killed(target, moment, number, monkeypatch):
    """Export to `target` in a process that a signal ends."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if moment == "between":  # the two renames of a file system that cannot exchange
            move, moves = pathlib.Path.rename, iter((True, False))
            monkeypatch.setattr("tfcollapse.exports.target._renamed_at_once", lambda *_: False)
            monkeypatch.setattr(
                pathlib.Path, "rename", lambda *paths: move(*paths) if next(moves) else os.kill(os.getpid(), number)
            )
        with replacing_export(target, force=True) as partial:
            _export(partial, "two")
            if moment == "writing":
                os.kill(os.getpid(), number)
    finally:
        os._exit(1)


@pytest.mark.parametrize("moment", ["writing", "between"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_export_that_is_killed_leaves_the_earlier_one_and_the_next_sweeps(moment, number, tmp_path, monkeypatch):
    target, strangers = tmp_path / "vae", tmp_path / ".vae-backup"
    _export(target)
    strangers.mkdir()
    assert _killed(target, moment, number, monkeypatch) == number
    assert len(_beside(target)) == (3 if moment == "writing" else 2), "the process was to leave a folder"
    with pytest.raises(ConfigError, match="exists"):  # whatever starts next finds the earlier export
        check_target(target, force=False)
    assert _text(target) == "one"
    assert _beside(target) == [".vae-backup", "vae"]


def test_another_process_at_work_keeps_its_folder(tmp_path):
    target = tmp_path / "vae"
    with replacing_export(target, force=True) as first:
        _export(first, "one")
        with replacing_export(target, force=True) as second:
            _export(second, "two")
        assert _text(first) == "one"
    assert _text(target) == "one"
    assert _beside(target) == ["vae"]

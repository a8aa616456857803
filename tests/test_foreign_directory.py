"""A run's directory from a stranger: nothing outside it is read or written, and nothing waits."""

import os
import pathlib
import shutil
import signal
import stat

import pytest
from examples import tiny

from tfcollapse.diagnosis.run_diagnosis import DIAGNOSIS, diagnose_run, diagnose_sweep
from tfcollapse.errors import RunError
from tfcollapse.records import files
from tfcollapse.records.files import open_regular, read_json, replacing
from tfcollapse.records.run_directory import RunDirectory, read_config
from tfcollapse.records.run_files import copy_record
from tfcollapse.records.table import tidy_row
from tfcollapse.reports.curves import curves
from tfcollapse.training import checkpoint
from tfcollapse.training.trainer import train

SECRET = b"step,loss\n1,0.5\n"


@pytest.fixture(autouse=True)
def never_waits():
    """An opened FIFO would wait for ever."""
    previous = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("it waits")))
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def folder(finished, tmp_path):
    """A run that has all its steps and no result: every file of it is read or written when it goes on."""
    shutil.copytree(finished, tmp_path / "out" / finished.name)
    (tmp_path / "out" / finished.name / "result.json").unlink()
    return tmp_path / "out" / finished.name


def _link(path, outside):
    path.symlink_to(outside)


def _dangling(path, outside):
    path.symlink_to(outside.with_name("new"))


def _fifo(path, outside):
    os.mkfifo(path)


def _device(path, outside):
    path.symlink_to("/dev/zero")


PLANTS = [_link, _dangling, _fifo, _device]
NAMES = ["lock", "config.json", "environment.json", "metrics.csv", "diagnostics.csv", "model.keras", "result.json"]


def _plant(path, how, outside):
    outside.parent.mkdir(exist_ok=True)
    outside.write_bytes(SECRET)
    path.unlink(missing_ok=True)
    how(path, outside)


def _untouched(outside):
    assert outside.read_bytes() == SECRET
    assert [path.name for path in outside.parent.iterdir()] == [outside.name]


@pytest.mark.parametrize("how", PLANTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_run_does_not_go_on_through_a_link(name, how, folder, tmp_path):
    outside = tmp_path / "home" / "precious"
    _plant(folder / name, how, outside)
    with pytest.raises(RunError, match=f"{name}.*(expected a regular file|expected a file that can be replaced)"):
        train(tiny(), folder.parent)
    _untouched(outside)


def test_checkpoints_do_not_lie_elsewhere(folder, tmp_path):
    """The directory is a link to one with a right checkpoint in it, which would be read, and then dropped."""
    outside = tmp_path / "home"
    (folder / "checkpoints").rename(outside)
    (folder / "checkpoints").symlink_to(outside)
    before = sorted(path.name for path in outside.iterdir())
    with pytest.raises(RunError, match="checkpoints': expected a directory, received a symbolic link"):
        train(tiny(), folder.parent)
    with pytest.raises(RunError, match="received a symbolic link"):
        checkpoint.save(folder / "checkpoints", 50, {})
    assert sorted(path.name for path in outside.iterdir()) == before


def test_a_checkpoint_that_is_a_link_is_not_read(folder, tmp_path):
    (path,) = (folder / "checkpoints").glob("step-000000040-*")
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match="expected a regular file, received a symbolic link"):
        train(tiny(), folder.parent)


def test_a_temporary_file_that_somebody_planted_is_not_written(folder, tmp_path):
    outside = tmp_path / "home" / "precious"
    for name in (*NAMES, DIAGNOSIS):
        _plant(folder / f".partial-{name}", _link, outside)
    for step in (20, 40):
        _plant(folder / "checkpoints" / f"step-{step:09d}.partial", _link, outside)
    train(tiny(), folder.parent)
    diagnose_run(folder)
    _untouched(outside)


@pytest.mark.parametrize("how", PLANTS)
def test_no_reader_follows_a_link(how, folder, finished, tmp_path):
    outside = tmp_path / "home" / "precious"
    run = tiny()
    readers = {
        "config.json": lambda: read_config(folder),
        "environment.json": lambda: tidy_row(RunDirectory(folder, run)),
        "result.json": lambda: tidy_row(RunDirectory(folder, run)),
        "metrics.csv": lambda: curves(folder / "metrics.csv"),
        "diagnostics.csv": lambda: copy_record(folder, tmp_path / "kept"),
        "model.keras": lambda: diagnose_run(folder),
        DIAGNOSIS: lambda: diagnose_run(folder),
        "lock": lambda: RunDirectory(folder, run).open().__enter__(),
    }
    for name, read in readers.items():
        shutil.copy(finished / "result.json", folder)
        _plant(folder / name, how, outside)
        with pytest.raises(RunError, match=name):
            read()
        (folder / name).unlink()
        if (finished / name).exists():
            shutil.copy(finished / name, folder)
    _untouched(outside)
    assert not (tmp_path / "kept").exists()


def test_a_run_s_directory_may_be_a_link_to_read_and_not_to_write(finished, folder, tmp_path):
    shutil.copy(finished / "result.json", folder)
    linked = tmp_path / "sweep" / "runs" / folder.name
    linked.parent.mkdir(parents=True)
    linked.symlink_to(folder)
    assert tidy_row(RunDirectory(linked, tiny()))["status"] == "finished"
    with (
        pytest.raises(RunError, match="expected a directory, received a symbolic link"),
        RunDirectory(linked, tiny()).open(),
    ):
        pass
    ((_, said),) = diagnose_sweep(tmp_path / "sweep")
    assert "a symbolic link" in said
    assert not (folder / DIAGNOSIS).exists()
    assert diagnose_run(linked).verdict  # the user has named it


@pytest.mark.parametrize("place", ["out", "out/runs"])
def test_the_user_s_own_place_may_be_a_link(place, tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).symlink_to(tmp_path / "big")
    train(tiny(), tmp_path / place)
    assert (tmp_path / "big" / tiny().run_id / "result.json").exists()


def test_a_path_that_is_not_utf_8_is_refused_before_training(tmp_path):
    out = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    with pytest.raises(RunError, match="expected a path in UTF-8") as failed:
        train(tiny(), out)
    assert str(failed.value).isprintable()
    assert not out.exists()
    with pytest.raises(RunError, match="UTF-8"):
        files.check_writable(out)


def test_only_regular_files_are_opened(tmp_path):
    (tmp_path / "file").write_bytes(b"{}")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "to_fifo").symlink_to(tmp_path / "fifo")
    os.mknod(tmp_path / "socket", 0o600 | stat.S_IFSOCK)
    assert read_json(tmp_path / "file") == {}
    with open_regular(tmp_path / "link", follow=True) as file:
        assert file.read() == b"{}"
    refused = {"link": "a symbolic link", "fifo": "a FIFO", "socket": "a socket", ".": "a directory"}
    for name, kind in refused.items():
        with pytest.raises(RunError, match=f"expected a regular file, received {kind}"):
            open_regular(tmp_path / name)
    for path in (tmp_path / "to_fifo", "/dev/zero"):
        with pytest.raises(RunError, match="received a (FIFO|device)"):
            open_regular(path, follow=True)
    with pytest.raises(RunError, match="there is no such file"):
        open_regular(tmp_path / "none")
    with pytest.raises(RunError, match="cannot be read"):
        open_regular("a\0b")


def test_only_a_file_with_our_mark_is_replaced(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("of somebody")
    with pytest.raises(RunError, match="was not written by tfcollapse"), replacing(path, b"<!-- tfcollapse"):
        raise AssertionError("nothing is made in vain")
    assert path.read_text() == "of somebody"
    for content in ("<!-- tfcollapse -->" + "x" * 9_000, "x" * 9_000 + "<!-- tfcollapse -->", "new"):
        with replacing(tmp_path / "page.md", b"<!-- tfcollapse") as partial:
            partial.write_text(content)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
    for plant in PLANTS:
        _plant(tmp_path / "planted", plant, tmp_path / "home" / "precious")
        with pytest.raises(RunError, match="expected a file that can be replaced"), replacing(tmp_path / "planted"):
            raise AssertionError("nothing is made in vain")
    _untouched(tmp_path / "home" / "precious")


def test_what_a_killed_writer_left_is_removed_and_a_living_one_s_is_not(tmp_path):
    for name in (".partial-a.csv", ".partial-0123abcd-a.csv", ".partial-0123abcd-b.csv"):
        (tmp_path / name).write_text("half")
    with replacing(tmp_path / "a.csv") as first:
        first.write_text("first")
        with replacing(tmp_path / "a.csv") as second:
            assert first.exists()
            second.write_text("second")
    assert (tmp_path / "a.csv").read_text() == "first"
    assert sorted(os.listdir(tmp_path)) == [".partial-0123abcd-b.csv", "a.csv"]
    with RunDirectory(tmp_path, tiny()).open():
        assert sorted(os.listdir(tmp_path)) == ["a.csv", "config.json", "lock"]

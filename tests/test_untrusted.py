"""Files from somebody else: data that cannot execute, cannot be larger than it says, and never a traceback."""

import hashlib
import io
import json
import shutil
import time
import zipfile

import numpy as np
import pytest
from examples import tiny
from hypothesis import given
from hypothesis import strategies as st
from strangers import FUZZ, changed, one_line, values

from tfcollapse.cli.main import main
from tfcollapse.config.declaration import Objective, Run
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import load
from tfcollapse.errors import ConfigError, RunError, UserError
from tfcollapse.models.build import build
from tfcollapse.records.run_directory import RunDirectory, read_config
from tfcollapse.records.table import read_table, tidy_row, write_table
from tfcollapse.reports.sweep_page import report
from tfcollapse.training import checkpoint
from tfcollapse.training.in_memory import train_in_memory
from tfcollapse.training.trainer import train


@FUZZ
@given(values | st.text(max_size=40) | changed(json.loads(tiny().to_json())))
def test_any_configuration_is_a_run_or_one_line(tree):
    text = tree if isinstance(tree, str) else json.dumps(tree)
    with one_line() as failed:
        run = Run.from_json(text)
    if failed:
        return
    assert Run.from_json(run.to_json()) == run
    assert "/" not in run.run_id
    assert run.run_id not in (".", "..")


@pytest.mark.parametrize("name", ["../../etc", "/etc", "a/../../b", "..", "a\x00b", "~", "a b", "", "x" * 5_000])
def test_a_dataset_s_name_cannot_leave_its_directory(name, tmp_path):
    data = replace(tiny(), {"data.name": name}).data
    with pytest.raises(UserError):
        load(data, data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_nested_too_deeply_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="not a run's configuration"):
        Run.from_json("[" * 100_000)
    (tmp_path / "config.json").write_text('{"data":' * 100_000)
    with pytest.raises(RunError):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network.width": 1 << 20, "network.depth": 900}, "expected a network that fits into this machine's"),
        ({"network.width": 1 << 40}, "Network.width: expected <="),
        (
            {"training.log_every": 1 << 30, "training.evaluate_every": 1 << 30, "training.checkpoint_every": 1 << 30},
            "received 17179869184 images of 1 sample each: lower training.log_every",
        ),
        (
            {"objective": Objective(importance_samples=1 << 10), "training.batch": 1 << 18},
            "received 2621440 images of 1024 samples each: lower training.log_every, training.batch or "
            "objective.importance_samples",
        ),
        ({"data.resize": (1 << 30, 4)}, "expected 2 whole numbers from 1 to 16384"),
    ],
)
def test_sizes_are_refused_before_anything_is_allocated(changes, message, tmp_path):
    start = time.process_time()
    with pytest.raises(ConfigError, match=message):
        train(replace(tiny(), changes), tmp_path)
    assert time.process_time() - start < 20


def test_a_training_in_memory_is_refused_by_its_size_too():
    run = replace(tiny(objective=Objective(importance_samples=1 << 10)), {"training.batch": 1 << 18})
    with pytest.raises(ConfigError, match="images of 1024 samples each"):
        train_in_memory(run, np.zeros((1_000, 28, 28, 1), np.uint8))


def _archive(arrays, **options):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, **options)
    return buffer.getvalue()


def _checkpoint(folder, content, step=20):
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("step-*"):
        old.unlink()
    (folder / f"step-{step:09d}-{hashlib.sha256(content).hexdigest()[:12]}.npz").write_bytes(content)


WHOLE = _archive({"weights": np.arange(200, dtype=np.float32), "step": np.int64(3)})


@FUZZ
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(1, 255)), max_size=12), st.integers(0, len(WHOLE))
)
def test_any_checkpoint_with_the_right_digest_is_read_or_passed_over(tmp_path, flips, end):
    content = bytearray(WHOLE)
    for place, bits in flips:
        content[place] ^= bits
    folder = tmp_path / "checkpoints"
    _checkpoint(folder, bytes(content[:end]))
    said = []
    state = checkpoint.newest(folder, said.append)
    assert (state is None) == bool(said)
    if state is not None:
        assert sum(value.nbytes for value in state.values()) <= len(content)
    for left in folder.iterdir():
        left.unlink()


def _bomb(shape):
    """An archive whose one array claims a shape that it does not hold."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("weights.npy", header.getvalue() + b"\0" * 64)
    return buffer.getvalue()


def _compressed():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, weights=np.zeros(10_000_000, np.float32))
    return buffer.getvalue()


@pytest.mark.parametrize("content", [_bomb((10**12,)), _bomb((1 << 62, 1 << 62)), _bomb((-1,)), _compressed()])
def test_a_checkpoint_cannot_claim_more_than_it_holds(content, tmp_path):
    _checkpoint(tmp_path, content)
    said = []
    assert checkpoint.newest(tmp_path, said.append) is None
    assert said


def _state(run):
    from tfcollapse.training.tensorflow_engine import TensorFlowEngine

    return TensorFlowEngine(build(run, (28, 28, 1)), run.training, jit=False).state()


@pytest.mark.parametrize(
    "changes",
    [
        {"step": np.int64(-5)},
        {"step": np.int64(10**9)},
        {"step": np.arange(3)},
        {"model/log_gamma": np.zeros(3, np.float32)},
        {"extra": np.zeros(3, np.float32)},
        {"pending/../../loss": np.zeros(3, np.float32)},
    ],
)
def test_a_checkpoint_of_something_else_is_one_line(changes, tmp_path):
    run = tiny()
    folder = RunDirectory(tmp_path / run.run_id, run)
    _checkpoint(folder.checkpoints, _archive(_state(run) | {"seconds": np.float64(1)} | changes))
    with pytest.raises(RunError, match="the checkpoint is of another network"):
        train(run, tmp_path)


@FUZZ
@given(st.data())
def test_any_result_and_environment_make_a_row_or_one_line(finished, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("run", numbered=True)
    shutil.copy(finished / "config.json", folder)
    for name in ("result.json", "environment.json"):
        tree = json.loads((finished / name).read_text())
        (folder / name).write_text(json.dumps(data.draw(changed(tree) | st.just(tree) | values)))
    with one_line():
        tidy_row(RunDirectory(folder, read_config(folder)))


@FUZZ
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_csv_is_read_or_one_line(finished, tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("run", numbered=True)
    shutil.copy(finished / "config.json", folder)
    whole = (finished / "metrics.csv").read_bytes()
    directory, table = RunDirectory(folder, read_config(folder)), folder / "table.csv"
    for text in (content, whole + content, whole[:-3] + content):
        for name in ("metrics.csv", "table.csv"):
            (folder / name).write_bytes(text)
        for read in (lambda: directory.last_metrics, lambda: directory.rewind(20), lambda: read_table(table)):
            with one_line():
                read()


def test_a_declaration_s_settings_are_data(tmp_path, capsys):
    """`--set` and a config.json never run what they are given; a study's file is Python, and is only taken by path."""
    marker = tmp_path / "executed"
    text = f"__import__('pathlib').Path('{marker}').touch()"
    for arguments in (["train", "--set", f"network.depth={text}"], ["train", "--set", f"data.name={text}"]):
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    (tmp_path / "config.json").write_text(json.dumps({"network": {"depth": text}}))
    assert main(["train", "--config", str(tmp_path / "config.json")]) == 2
    assert not marker.exists()
    assert capsys.readouterr().err.count("\n") == 3


def test_a_page_of_a_stranger_s_run_shows_its_text_and_runs_none_of_it(finished, tmp_path):
    """A run's strings reach a browser through `tfcollapse report`; none of them may end up as markup."""
    runs = tmp_path / "runs" / finished.name
    shutil.copytree(finished, runs)
    result = json.loads((runs / "result.json").read_text())
    attack = "<script>alert(1)</script>"
    (runs / "result.json").write_text(json.dumps(result | {"status": "failed", "reason": attack, "source": attack}))
    facts = json.loads((runs / "environment.json").read_text())
    (runs / "environment.json").write_text(json.dumps(facts | {"commit": attack, "machine": attack}))
    row = tidy_row(RunDirectory(runs, read_config(runs))) | {"command": attack}
    write_table(tmp_path / "fig1_left.csv", [row])
    report(tmp_path, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert attack not in page
    assert page.count("&lt;script&gt;") >= 3

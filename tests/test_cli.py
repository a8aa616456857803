import importlib.metadata
import json
import pathlib

import pytest
from examples import tiny
from processes import command, python

import tfcollapse
from tfcollapse.cli.main import main
from tfcollapse.config.declaration import NUMERICS
from tfcollapse.errors import Terminated


def _files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


SMOKE = ["sweep", "fig1_left", "--preset", "smoke"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "fig1_lefft"], "unknown study 'fig1_lefft': did you mean 'fig1_left'?"),
        (["sweep", "nowhere.py"], "study file 'nowhere.py': there is no such file"),
        (["sweep", "fig1_left", "--preset", "quik"], "unknown preset 'quik': did you mean 'quick'?"),
        ([*SMOKE, "--seeds", "0"], "--seeds: expected 1 to 10,000, received 0"),
        ([*SMOKE, "--steps", "0"], "--steps: expected >= 1, received 0"),
        ([*SMOKE, "--jobs", "0"], "--jobs: expected 'auto' or a whole number >= 1, received '0'"),
        ([*SMOKE, "--jobs", "many"], "--jobs: expected 'auto' or a whole number >= 1, received 'many'"),
        ([*SMOKE, "--index", "6"], "--index: expected 0 to 5, received 6"),
        ([*SMOKE, "--index", "-1"], "--index: expected 0 to 5, received -1"),
        ([*SMOKE, "--set", "network.depth=-1"], "Network.depth: expected >= 0, received -1"),
        ([*SMOKE, "--set", "steps=3"], "unknown setting 'steps': did you mean 'training.steps'? expected one of data,"),
        ([*SMOKE, "--set", "network.dpth=3"], "unknown setting 'network.dpth': did you mean 'network.depth'?"),
        ([*SMOKE, "--set", "network.depth=two"], "network.depth: expected int, received 'two'"),
        ([*SMOKE, "--set", "training.batch=0"], "Training.batch: expected >= 1, received 0"),
        ([*SMOKE, "--set", "objective.gamma=lerned"], "did you mean 'learned'?"),
        ([*SMOKE, "--set", "data.name=fashion_mnits"], "unknown dataset 'fashion_mnits'"),
        ([*SMOKE, "--set", "data.train=7000"], "expected at most the 6000 images there are, received 7000"),
        ([*SMOKE, "--set", "data.name=cifar10", "--data-dir", "/nowhere"], "data directory '/nowhere'"),
        (["train", "--config", "nowhere.json"], "--config 'nowhere.json'"),
        (["train", "--set", "training.steps=-1"], "Training.steps: expected >= 1, received -1"),
        (["bench", "--windows", "0"], "--windows, --seconds: expected > 0, received 0"),
        (["bench", "--cases", "dense-3"], "unknown --cases 'dense-3': did you mean 'dense-2-ae'?"),
        (["bench", "--cases", "all", "--set", "seed=1"], "--cases, --set: expected one of them"),
        (
            ["bench", "--set", "objective.importance_samples=5"],
            "or eq. (4), received 'VAE + importance weights'",
        ),
        (["bench", "--set", "objective.kl_constraint=floor"], "or eq. (4), received 'VAE + KL floor'"),
        ([*SMOKE, "--set", "network.depth=2"], "two of the runs are the same"),
        ([*SMOKE, "--set", "objective.kind=ae"], "an AE takes no field but its kind"),
        ([*SMOKE, "--set", "training.log_every=0"], "Training.log_every: expected >= 1, received 0"),
        ([*SMOKE, "--set", "data.name=fashion*"], "dataset name 'fashion*': expected one such as cifar10"),
        (["describe", "--image-shape", "28x28"], "--image-shape: expected H,W,C such as 28,28,1"),
        (["data", "prepare"], "expected the name of a dataset"),
        (["data", "list", "--data-dir", "/nowhere"], "data directory '/nowhere'"),
        (["figure", "fig1_left", "--out", "nowhere"], "'nowhere': there is no such directory"),
    ],
)
def test_a_mistake_is_one_line_and_status_2_and_writes_nothing(arguments, message, tmp_path, capfd, monkeypatch):
    if arguments[0] in ("sweep", "train"):
        arguments = [*arguments, "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    said = capfd.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert _files(tmp_path) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Terminated])
@pytest.mark.parametrize(
    ("arguments", "goes_on"),
    [
        ("sweep fig1_left", True),
        ("train", True),
        ("blame", True),
        ("sweep fig1_left --list", False),
        ("sweep fig1_left --collect kept", False),
        ("blame --build vae.py:build", False),
        ("bench", False),
        ("theory all", False),
        ("taxonomy", False),
        ("export a b", False),
    ],
)
def test_a_stop_names_checkpoints_only_where_there_are_some(arguments, goes_on, stop, capfd, monkeypatch):
    def stopped(parsed):
        raise stop

    monkeypatch.setattr(f"tfcollapse.cli.{arguments.split()[0]}.run", stopped)
    assert main(arguments.split()) == (130 if stop is KeyboardInterrupt else 143)
    said = "tfcollapse: stopped" + ("; the same command goes on from the last checkpoints" if goes_on else "")
    assert capfd.readouterr().err == f"{said}\n"


@pytest.mark.slow
def test_the_same_from_a_real_shell(tmp_path):
    answer = command("sweep", "fig1_left", "--preset", "quik", "--out", str(tmp_path / "out"))
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr == (
        "tfcollapse: unknown preset 'quik': did you mean 'quick'? expected one of paper, standing, quick, smoke\n"
    )
    answer = command("sweeep")
    assert answer.returncode == 2
    assert answer.stderr.startswith("tfcollapse: unknown command 'sweeep': did you mean 'sweep'? expected one of ")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("more", [[], ["--index", "0"], ["--list"]])
@pytest.mark.parametrize("out", ["/proc/self/nothing", "/dev/null/x", "x" * 300])
def test_an_output_directory_that_cannot_be_written(out, more, capfd):
    if more == ["--list"] and out.startswith("/"):
        return  # nothing is there, and nothing is written
    assert main([*SMOKE, *more, "--out", out]) == 2
    said = capfd.readouterr().err
    assert said.startswith("tfcollapse: ")
    assert out in said
    assert said.count("\n") == 1


def test_a_full_disk_is_one_line(small_disk, capfd):
    (small_disk / "filler").write_bytes(b"x" * 4_194_304)
    assert main([*SMOKE, "--out", str(small_disk / "out")]) == 2
    said = capfd.readouterr().err
    assert "No space left on device" in said
    assert said.count("\n") == 1


def test_data_prepare_makes_a_damaged_cache_anew_without_a_word(tmp_path, capfd, monkeypatch):
    from test_data import Squares

    monkeypatch.setenv("TFCOLLAPSE_CACHE", str(tmp_path / "cache"))
    Squares(data_dir=tmp_path / "tfds").download_and_prepare()
    prepare = ["data", "prepare", "squares", "--data-dir", str(tmp_path / "tfds")]
    capfd.readouterr()
    assert main(prepare) == 0
    said = capfd.readouterr()
    assert said.out == "squares 1.2.3: 30 train and 7 test images of (10, 8, 3)\n"
    assert said.err == ""
    (train,) = (tmp_path / "cache").glob("*/train.npy")
    content = train.read_bytes()
    train.write_bytes(content[:-1])
    assert main(prepare) == 0
    assert capfd.readouterr() == said
    assert train.read_bytes() == content


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"run_id,depth\na,2\n", b"depth\n2\n"])
def test_a_table_that_is_none_is_one_line(content, tmp_path, capfd):
    (tmp_path / "fig1_left.csv").write_bytes(content)
    assert main(["figure", "fig1_left", "--out", str(tmp_path)]) == 2
    said = capfd.readouterr().err
    assert "fig1_left.csv" in said
    assert said.count("\n") == 1
    assert _files(tmp_path) == ["fig1_left.csv"]


def test_the_table_of_another_sweep_is_not_replaced(tmp_path, capfd):
    (tmp_path / "fig1_left.csv").write_text("run_id\nother\n")
    assert main([*SMOKE, "--out", str(tmp_path)]) == 2
    assert "holds 1 runs that are not of this sweep, such as other" in capfd.readouterr().err
    assert (tmp_path / "fig1_left.csv").read_text() == "run_id\nother\n"


def test_an_unreadable_data_directory(tmp_path, capfd):
    file = tmp_path / "file"
    file.write_text("")
    assert main(["data", "list", "--data-dir", str(file)]) == 2
    assert "expected a readable directory" in capfd.readouterr().err


@pytest.mark.parametrize("finished", [False, True])
def test_a_directory_that_holds_another_run(finished, tmp_path, capfd):
    run = tiny()
    config = tmp_path / "run.json"
    config.write_text(run.to_json())
    folder = tmp_path / "out" / run.run_id
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(tiny(seed=5).to_json())
    if finished:
        (folder / "result.json").write_text('{"status": "finished"}')
    assert main(["train", "--config", str(config), "--out", str(tmp_path / "out")]) == 2
    said = capfd.readouterr().err
    assert "holds another run's configuration" in said
    assert said.count("\n") == 1
    assert ("result.json" in _files(folder)) == finished


def test_a_learning_rate_that_diverges_is_named_and_recorded(tmp_path, capfd):
    config = tmp_path / "run.json"
    config.write_text(tiny().to_json())
    arguments = [
        "train",
        "--config",
        str(config),
        "--set",
        "training.learning_rate=1e18",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(arguments) == 2
    assert "is not finite at step" in capfd.readouterr().err
    (folder,) = (tmp_path / "out").iterdir()
    assert json.loads((folder / "result.json").read_text())["status"] == "failed"


@pytest.mark.slow
def test_train_describe_data_and_bench_answer(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    config = tmp_path / "run.json"
    config.write_text(tiny().to_json())
    assert main(["train", "--config", str(config), "--out", str(tmp_path)]) == 0
    assert tiny().run_id in capsys.readouterr().out
    assert main(["describe", "--json", "--set", "network.depth=10"]) == 0
    assert json.loads(capsys.readouterr().out)["network"] == "dense, depth 10"
    assert main(["describe"]) == 0
    assert "1,428,369 parameters" in capsys.readouterr().out
    assert main(["data", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "fashion_mnist_mini"
    assert main(["data", "prepare", "fashion_mnist_mini"]) == 0
    assert "6000 train and 1000 test images of (28, 28, 1)" in capsys.readouterr().out


def test_the_list_of_commands_and_the_versions_start_quickly():
    code = "import sys; from tfcollapse.cli.main import main\nfor words in [], ['--version']: assert main(words) == 0\n"
    code += "print([m for m in ('tensorflow', 'keras', 'numpy', 'matplotlib', 'rich') if m in sys.modules])"
    assert python(code).stdout.splitlines()[-1] == "[]"


def test_version_names_package_numbers_and_backend(capsys, monkeypatch):
    assert main(["--version"]) == 0
    start = f"tfcollapse {tfcollapse.__version__}, numerics version {NUMERICS}, backend "
    backend = f"tensorflow {importlib.metadata.version('tensorflow')}"
    assert capsys.readouterr().out == f"{start}{backend}\n"
    assert main(["--version", "sweep", "fig1_left"]) == 0  # and nothing is trained
    assert capsys.readouterr().out == f"{start}{backend}\n"
    answer = command("--version", KERAS_BACKEND="nowhere")
    assert answer.stdout == f"{start}nowhere (not installed, or a build whose package has another name)\n"
    assert f"## {tfcollapse.__version__}" in pathlib.Path(__file__).parent.parent.joinpath("CHANGELOG.md").read_text()


@pytest.mark.parametrize("value", ["nan", "-inf", "1e400", "x"])
def test_a_number_is_finite(value, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bench", f"--seconds={value}"])
    assert ended.value.code == 2
    assert f"--seconds: expected a number, received '{value}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143),
        ("raise SystemExit(7)", 2),
    ],
)
def test_sigterm_while_a_study_is_loaded_keeps_its_status_and_an_exit_of_the_study_is_one_line(line, status, tmp_path):
    study = tmp_path / "mine.py"
    study.write_text(line)
    ended = command("sweep", str(study), "--list", "--out", str(tmp_path / "out"))
    assert ended.returncode == status
    assert ended.stderr.count("\n") == 1
    assert ("mine.py', line 1: SystemExit: 7" in ended.stderr) == (status == 2)

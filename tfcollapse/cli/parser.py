"""The grammar of the command line: what may be said, and nothing of what it does."""

from __future__ import annotations

import argparse
from typing import Any

import tfcollapse


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    parser = argparse.ArgumentParser(prog="tfcollapse", description=tfcollapse.__doc__)
    parser.add_argument("--version", action="version", version=tfcollapse.__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _training(commands)
    _theory(commands)
    _diagnosis(commands)
    export = _command(commands, "export", "a run's model as a SavedModel, or as TARGET.keras")
    export.add_argument("run", metavar="RUN_DIR", help="a finished run's directory")
    export.add_argument("target", metavar="TARGET", help="a new directory, or FILE.keras")
    export.add_argument("--input", choices=["float32", "uint8"], default="float32", help="type of the images it takes")
    export.add_argument("--force", action="store_true", help="replace an earlier export")
    describe = _command(commands, "describe", "parameters, FLOPs and layers of a network")
    describe.add_argument("--image-shape", default="28,28,1", metavar="H,W,C", help="default: 28,28,1")
    describe.add_argument("--json", action="store_true")
    _settings(describe)
    data = _command(commands, "data", "list the datasets at hand, or prepare one")
    data.add_argument("action", choices=["list", "prepare"])
    data.add_argument("name", nargs="?")
    data.add_argument("--data-dir", help="TFDS' directory (default: TFDS_DATA_DIR)")
    bench = _command(commands, "bench", "time training steps against Keras' fit, PyTorch, pythae and a matrix product")
    bench.add_argument("--json", action="store_true")
    bench.add_argument("--cases", metavar="NAMES", help="such as dense-2-vae,convolutional-1 (default: all)")
    bench.add_argument("--windows", type=int, default=7, help="timed windows of each (default: 7)")
    bench.add_argument("--seconds", type=float, default=1.0, help="length of a window (default: 1)")
    bench.add_argument(
        "--throughput", type=float, metavar="SECONDS", help="dense cases also as processes at once, so long each"
    )
    bench.add_argument("--out", metavar="DIR", help="write bench.md and its record there")
    _settings(bench)
    return parser


def _training(commands: Any) -> None:
    sweep = _command(commands, "sweep", "train every run of a study, then draw its figure")
    _study(sweep)
    sweep.add_argument("--jobs", default="auto", help="runs at a time, or 'auto'")
    sweep.add_argument(
        "--together", default="auto", metavar="K", help="seeds of a cell trained as one program (JAX), or 'auto'"
    )
    sweep.add_argument("--list", action="store_true", help="list the runs and their state, train nothing")
    sweep.add_argument(
        "--collect",
        metavar="DIR",
        help="train nothing: copy the records of the runs that have ended to DIR, with table, figure and page of them; "
        "safe while the sweep goes on",
    )
    sweep.add_argument("--ray", nargs="?", const="", metavar="HOST:PORT", help="train on a Ray cluster (extra 'ray')")
    sweep.add_argument("--cpus", type=float, metavar="N", help="with --ray: CPUs of one run (default: by its size)")
    sweep.add_argument(
        "--gpus", type=float, metavar="N", help="with --ray: GPUs of one run (default: 1 where there are)"
    )
    sweep.add_argument("--index", type=int, metavar="I", help="train only the run of this index (job arrays)")
    _placement(sweep)
    pictures = _command(commands, "pictures", "a sweep's reconstructions and samples as a picture")
    _study(pictures)
    train = _command(commands, "train", "train one run")
    train.add_argument("--out", default="out/runs", help="directory of run directories (default: out/runs)")
    train.add_argument("--config", metavar="FILE", help="a run's config.json to start from")
    _common(train)
    _placement(train)
    figure = _command(commands, "figure", "redraw figures and pages from their tables")
    figure.add_argument("study", nargs="?", help="one study; without it, every study whose table --out holds")
    figure.add_argument("--out", required=True, help="the directory that holds STUDY.csv")
    overview = _command(commands, "overview", "one page of all results: claims, verdicts, commands, what was not run")
    overview.add_argument("out", metavar="DIR", help="write DIR/README.md from the tables and records below DIR")


def _theory(commands: Any) -> None:
    theory = _command(commands, "theory", "check the paper's propositions numerically")
    theory.add_argument("section", choices=["affine", "prop1", "prop2", "prop4", "equations", "all"])
    theory.add_argument("--json", action="store_true", help="print the findings as JSON")
    theory.add_argument("--out", default="out/theory", help="directory of findings and figures (default: out/theory)")
    theory.add_argument("--data", default="fashion_mnist_mini", help="images to train on (default: the packaged ones)")
    theory.add_argument("--data-dir", help="TFDS' directory (default: TFDS_DATA_DIR)")
    theory.add_argument("--runs", metavar="DIR", help="prop4: trained dense VAEs, instead of short trainings")
    theory.add_argument("--images", type=int, default=64, metavar="N", help="prop4: images in each Hessian")
    theory.add_argument("--table", metavar="CSV", help="equations: the table of a sweep")
    theory.add_argument("--seed", type=int, default=0)


def _diagnosis(commands: Any) -> None:
    diagnose = _command(commands, "diagnose", "say whether a VAE's posterior has collapsed, which way, and why")
    diagnose.add_argument("run", nargs="?", metavar="RUN_DIR", help="a finished run's directory")
    diagnose.add_argument("--encoder", metavar="FILE.keras", help="images to (mean, log_variance)")
    diagnose.add_argument("--decoder", metavar="FILE.keras", help="z to images")
    diagnose.add_argument("--data", metavar="NAME|FILE.npy", help="a dataset's training images, or an array of images")
    diagnose.add_argument("--gamma", type=float, help="decoder variance in the loss (default: from the active units)")
    diagnose.add_argument("--beta", type=float, default=1.0, help="weight on the KL (default: 1)")
    diagnose.add_argument("--images", type=_count, metavar="N", help="only the first N images")
    diagnose.add_argument("--json", action="store_true")
    diagnose.add_argument("--data-dir", help="TFDS' directory (default: TFDS_DATA_DIR)")
    blame = _command(commands, "blame", "train the AE twin and other arms that tell who is to blame for a collapse")
    blame.add_argument("--config", metavar="FILE", help="a run's config.json to start from")
    blame.add_argument(
        "--build", metavar="FILE.py:FUNCTION", help="an architecture of your own: seed to two Keras models"
    )
    blame.add_argument("--data", metavar="NAME|FILE.npy", help="with --build: images (default: those of the run)")
    blame.add_argument("--out", default="out/blame", help="directory of the arms' runs (default: out/blame)")
    blame.add_argument("--page", metavar="FILE.md", help="write the tables and every diagnosis as a page")
    blame.add_argument("--json", action="store_true")
    _common(blame)
    report = _command(commands, "report", "one HTML page of a sweep: figures, cells, verdicts, curves, commands")
    report.add_argument("directory", metavar="DIR", help="a sweep's directory, with its table and its runs")
    report.add_argument("-o", "--output", default="report.html", metavar="FILE", help="default: report.html")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"expected a whole number >= 2, received '{text}'")
    return int(text)


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=name)
    return parser


def _settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="change a field of the run, e.g. training.steps=500 or network.depth=4; may be repeated",
    )


def _common(parser: argparse.ArgumentParser) -> None:
    _settings(parser)
    parser.add_argument("--data-dir", help="TFDS' directory (default: TFDS_DATA_DIR)")


def _placement(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy", default="auto", help="devices of one run: auto (all GPUs), one, mirrored or multiworker"
    )
    parser.add_argument("--devices", metavar="N|LIST", help="how many, or which, e.g. GPU:0,GPU:1 (CPU:0,CPU:1 to try)")


def _study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="a study of runs/, or the path of a declaration")
    parser.add_argument("--preset", default="quick", help="paper, quick or smoke (default: quick)")
    parser.add_argument("--out", help="directory of table, figure and runs (default: out/STUDY-PRESET)")
    parser.add_argument("--seeds", type=int, default=1, metavar="K", help="seeds 0 to K-1 of every run")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="only the runs with these values, e.g. network.depth=2,10 or objective.kind=ae; may be repeated",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="N steps a run; halving and warm-up keep their share")
    _common(parser)

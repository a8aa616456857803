"""`tfcollapse diagnose`: say whether a VAE's posterior has collapsed, which way, and why."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from typing import TYPE_CHECKING

from tfcollapse.backend import check_tensorflow, import_tensorflow
from tfcollapse.cli.announcement import announce, counted
from tfcollapse.cli.arguments import DEEPEST_VAE, add_data_dir, add_json, given, images_count, number, place
from tfcollapse.cli.python_file import named_model
from tfcollapse.errors import ConfigError, RunError

if TYPE_CHECKING:
    from tfcollapse.diagnosis.diagnose import Diagnosis
    from tfcollapse.diagnosis.examples import Examples

HELP = "say whether a VAE has collapsed, in which way, and why"
DESCRIPTION = """\
Say whether a VAE has collapsed, in which of the paper's ways, on what evidence,
and what to do next. Name
- the directory of a run; or that of a sweep, to diagnose all its VAEs; or
- a VAE of your own, by --encoder, --decoder and the --data that it was trained
  on. Say also what is known of its loss: --loss in words, or --gamma and
  --beta. Where the verdict depends on what was not said, it says so."""
EXAMPLES = (
    ("the deepest VAE of the main job", f"tfcollapse diagnose {DEEPEST_VAE}"),
    ("every VAE of the main job, and a page", "tfcollapse diagnose out/fig1_left-quick --html out/diagnosis.html"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "run", type=place, nargs="?", metavar="DIR", help="the directory of a finished run, or of a sweep"
    )
    parser.add_argument(
        "--encoder",
        metavar="FILE.keras|FILE.py:FUNCTION",
        help="your encoder, from examples to (mean, log_variance): a Keras file, or a function or model of any "
        "framework in a Python file, which is executed",
    )
    parser.add_argument(
        "--decoder", metavar="FILE.keras|FILE.py:FUNCTION", help="your decoder, from z to examples, in the same form"
    )
    parser.add_argument(
        "--data",
        metavar="NAME|FILE",
        help="the examples that your VAE was trained on: a .npy or .npz file, or the name of a dataset",
    )
    add_outputs(parser)
    add_loss(parser)
    parser.add_argument(
        "--examples",
        "--images",
        dest="images",
        type=images_count,
        metavar="N",
        help="use only N of the examples (default: all)",
    )
    add_json(parser)
    parser.add_argument(
        "--html", type=place, metavar="FILE", help="also write the diagnosis as an HTML page, with figures"
    )
    add_data_dir(parser)


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what the outputs of a user's encoder and decoder are."""
    parser.add_argument(
        "--spread",
        metavar="NAME",
        help="what the encoder's second output is: log_variance, variance, sigma or log_sigma (default: recognised)",
    )
    parser.add_argument(
        "--joined", action="store_true", help="the encoder has one output, [n, 2k]: the k means, then the log variances"
    )
    parser.add_argument(
        "--output", metavar="NAME", help="what the decoder gives: mean, logits or log_mean (default: recognised)"
    )


def add_loss(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what the loss was."""
    parser.add_argument(
        "--loss",
        metavar="WORDS",
        help="the loss that was minimised, such as 'squared error averaged over pixels, weight 784, beta 0.5' or "
        "'cross-entropy summed'",
    )
    parser.add_argument(
        "--gamma",
        type=number,
        metavar="VARIANCE",
        help="instead of --loss: the decoder's variance, in the data's units squared (default: what the units imply)",
    )
    parser.add_argument("--gamma-learned", action="store_true", help="gamma is a weight that was trained")
    parser.add_argument(
        "--logged",
        type=number,
        metavar="VALUE",
        help="the reconstruction loss that your training printed at its end, to check what --loss says",
    )
    parser.add_argument(
        "--beta", type=number, default=1.0, metavar="WEIGHT", help="the weight on the KL term (default: 1)"
    )
    parser.add_argument(
        "--likelihood", metavar="NAME", help="gaussian, bernoulli or poisson (default: what the loss implies)"
    )


def run(parsed: argparse.Namespace) -> int:
    """Diagnose a run's directory, every VAE of a sweep's, or two models on data. Raises UserError."""
    if parsed.html:
        from tfcollapse.reports.html_page import check_html

        check_html(pathlib.Path(parsed.html))
    if parsed.run is not None:
        check_tensorflow("diagnose")
        _check_that_a_run_is_alone(parsed)
    if parsed.run is not None and not (pathlib.Path(parsed.run) / "config.json").exists():
        diagnoses, skipped = _diagnose_sweep(parsed)
    else:
        name, diagnosis = _diagnose_files(parsed) if parsed.run is None else _diagnose_run(parsed)
        print(json.dumps(diagnosis.as_json(), indent=1) if parsed.json else diagnosis)
        diagnoses, skipped = {name: diagnosis}, {}
    if parsed.html:
        from tfcollapse.records.provenance import environment
        from tfcollapse.reports.diagnosis_page import write

        made = environment(command=parsed.command_line)
        written = write(pathlib.Path(parsed.html), diagnoses, made, skipped, _directories(parsed.run))
        print(f"wrote {written}", file=sys.stderr if parsed.json else sys.stdout)
    return 0


_OF_FILES = (
    "encoder",
    "decoder",
    "data",
    "loss",
    "gamma",
    "gamma_learned",
    "logged",
    "likelihood",
    "output",
    "spread",
    "joined",
)


def _check_that_a_run_is_alone(parsed: argparse.Namespace) -> None:
    """Refuse what a run of ours knows by itself. Raises ConfigError."""
    beside = [f"--{name.replace('_', '-')}" for name in _OF_FILES if given(getattr(parsed, name))]
    if beside or parsed.beta != 1:
        raise ConfigError(
            f"diagnose: expected a run's directory or --encoder and --decoder, received both: leave "
            f"{' and '.join(beside or ['--beta'])} out, as a run knows its data and its loss"
        )


def _diagnose_files(parsed: argparse.Namespace) -> tuple[str, Diagnosis]:
    """Diagnose the models of --encoder and --decoder. Raises UserError."""
    from tfcollapse.diagnosis.diagnose import diagnose

    if not (parsed.encoder and parsed.decoder and parsed.data):
        raise ConfigError("diagnose: expected a run's directory, or --encoder, --decoder and --data")
    encoder, decoder = (named_model(*each) for each in (("--encoder", parsed.encoder), ("--decoder", parsed.decoder)))
    diagnosis = diagnose(
        encoder,
        decoder,
        named_data(parsed.data, parsed.data_dir),
        parsed.gamma,
        beta=parsed.beta,
        loss=parsed.loss,
        likelihood=parsed.likelihood,
        output=parsed.output,
        spread=parsed.spread,
        joined=parsed.joined,
        gamma_learned=parsed.gamma_learned,
        logged=parsed.logged,
        examples=parsed.images,
    )
    return f"{parsed.encoder} and {parsed.decoder}", diagnosis


def _diagnose_run(parsed: argparse.Namespace) -> tuple[str, Diagnosis]:
    """Diagnose a finished run of ours. Raises UserError."""
    import_tensorflow()
    from tfcollapse.diagnosis.run_diagnosis import diagnose_run

    path = pathlib.Path(parsed.run)
    return path.resolve().name, diagnose_run(path, parsed.data_dir, parsed.images, parsed.command_line)


def _diagnose_sweep(parsed: argparse.Namespace) -> tuple[dict[str, Diagnosis], dict[str, str]]:
    """Diagnose every VAE of a sweep, a line for each, and return what was skipped as well. Raises UserError."""
    from tfcollapse.records.run_directory import runs_below

    path, diagnoses, skipped = pathlib.Path(parsed.run), {}, {}
    count = len(runs_below(path))
    if count:
        announce(
            f"{counted(count, 'run')} to read, and every VAE among them to diagnose",
            "some seconds each, more where images are many or large",
            path,
            json=parsed.json,
        )
    import_tensorflow()
    from tfcollapse.diagnosis.run_diagnosis import diagnose_sweep

    every = diagnose_sweep(path, parsed.data_dir, parsed.images, parsed.command_line)
    for done, (name, found) in enumerate(every, 1):
        if isinstance(found, str):
            skipped[name], said = found, f"skipped: {found}"
        else:
            diagnoses[name], said = found, found.verdict.headline
        if not parsed.json:
            print(f"[{done}/{count}] {name}: {said}", flush=True)
    if not diagnoses:
        raise RunError(f"'{path}': expected a VAE that has been trained to the end, received none")
    if parsed.json:
        print(json.dumps({name: diagnosis.as_json() for name, diagnosis in diagnoses.items()}, indent=1))
    return diagnoses, skipped


def _directories(run: str | None) -> dict[str, pathlib.Path]:
    """Return the run directories that a page is about, by name: one run's, a sweep's, or none."""
    from tfcollapse.records.run_directory import runs_below

    if run is None:
        return {}
    path = pathlib.Path(run)
    return {path.resolve().name: path, **runs_below(path)}


def named_data(name: str, data_dir: str | None) -> Examples:
    """Read the examples of a .npy or .npz file, mapped, or the training images of a dataset. Raises UserError."""
    from tfcollapse.diagnosis.examples import SUFFIXES, read_examples

    if name.endswith(SUFFIXES):
        return read_examples(name)
    from tfcollapse.config.declaration import Data
    from tfcollapse.data.dataset import load

    return read_examples(load(Data(name=name), data_dir=data_dir).train)

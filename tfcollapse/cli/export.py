"""`tfcollapse export`: write a run's model as a SavedModel or a .keras file."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from tfcollapse.cli.announcement import announce
from tfcollapse.cli.arguments import SHALLOW_VAE, add_data_dir, given, place
from tfcollapse.cli.diagnose import add_outputs, named_data
from tfcollapse.cli.python_file import named_model
from tfcollapse.errors import ConfigError

HELP = "write a trained network as a SavedModel, or as a .keras file"
DESCRIPTION = """\
Write a trained network as a TensorFlow SavedModel, which needs nothing of this
package, or as a .keras file. It is read again in a new process and compared,
and is left at TARGET only if both give the same answers. It is
- a finished run: RUN_DIR TARGET, or RUN_DIR FILE.keras; or
- an encoder and a decoder of your own: ENCODER TARGET --decoder DECODER.
The signatures are printed, with their inputs and outputs."""
EXAMPLES = (
    ("the two-layer VAE of the main job", f"tfcollapse export {SHALLOW_VAE} out/vae/1 --force"),
    ("the same as a .keras file", f"tfcollapse export {SHALLOW_VAE} out/vae.keras --force"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "run",
        type=place,
        metavar="RUN_DIR|ENCODER",
        help="the directory of a finished run; or, with --decoder, an encoder, as 'diagnose --encoder' takes it",
    )
    parser.add_argument(
        "target", type=place, metavar="TARGET", help="the directory to write; of a run, also FILE.keras"
    )
    parser.add_argument(
        "--decoder", metavar="FILE.keras|FILE.py:FUNCTION", help="your decoder, as 'diagnose --decoder' takes it"
    )
    parser.add_argument(
        "--data",
        metavar="NAME|FILE",
        help="examples for ENCODER, a .npy or .npz file or a dataset; needed where its input's shape is not declared",
    )
    add_outputs(parser)
    parser.add_argument(
        "--input",
        choices=["float32", "uint8"],
        default="float32",
        help="what a SavedModel takes: float32 as in training, or uint8, which it divides by 255 (default: float32)",
    )
    add_data_dir(parser)
    parser.add_argument("--force", action="store_true", help="replace an earlier export at TARGET")


def run(parsed: argparse.Namespace) -> int:
    """Export a finished run, or two models, and print the signatures of the export. Raises UserError."""
    from tfcollapse.backend import check_tensorflow, import_tensorflow

    check_tensorflow("export")
    from tfcollapse.records.run_directory import read_config

    run, target = pathlib.Path(parsed.run), pathlib.Path(parsed.target)
    if not parsed.decoder:
        _check_that_a_run_is_alone(parsed)
        read_config(run)
    time = "some seconds, most of them for TensorFlow to start twice"
    announce("a model to write, and to read again in a new process", time, target)
    if parsed.decoder:
        exported = _export_pair(parsed, target)
    else:
        import_tensorflow()
        from tfcollapse.exports.saved_model import export_run

        exported = export_run(run, target, input_type=parsed.input, force=parsed.force)
    for name, signature in exported["signatures"].items():
        print(f"{name}: {_tensors(signature['inputs'])} -> {_tensors(signature['outputs'])}")
    print(
        f"wrote {exported['path']}; a new process gives the same answers, within {exported['largest_difference']:.1g}"
    )
    return 0


def _export_pair(parsed: argparse.Namespace, target: pathlib.Path) -> dict[str, Any]:
    """Export the models of ENCODER and --decoder. Raises UserError."""
    from tfcollapse.exports.saved_model import export

    pair = tuple(named_model(*each) for each in (("ENCODER", parsed.run), ("--decoder", parsed.decoder)))
    return export(
        pair,
        target,
        examples=parsed.data and named_data(parsed.data, parsed.data_dir),
        spread=parsed.spread,
        joined=parsed.joined,
        output=parsed.output,
        input_type=parsed.input,
        force=parsed.force,
    )


def _check_that_a_run_is_alone(parsed: argparse.Namespace) -> None:
    """Refuse what belongs to a pair. Raises ConfigError."""
    beside = [f"--{name}" for name in ("data", "spread", "joined", "output") if given(getattr(parsed, name))]
    if beside or parsed.run.endswith(".keras") or ".py:" in parsed.run:
        raise ConfigError(
            f"export: expected a run's directory, or ENCODER and --decoder, received {parsed.run}"
            f"{' with ' + beside[0] if beside else ''} and no --decoder"
        )


def _tensors(tensors: dict[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in tensors.items())

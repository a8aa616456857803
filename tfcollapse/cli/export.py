"""`tfcollapse export`: write a run's model as a SavedModel or a .keras file."""

from __future__ import annotations

import argparse
import pathlib

HELP = "write a run's model as a SavedModel, or as TARGET.keras"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", metavar="RUN_DIR", help="the directory of a finished run")
    parser.add_argument("target", metavar="TARGET", help="a new directory, or FILE.keras")
    parser.add_argument(
        "--input",
        choices=["float32", "uint8"],
        default="float32",
        help="the type of the images that a SavedModel takes (default: float32)",
    )
    parser.add_argument("--force", action="store_true", help="replace an earlier export")


def run(parsed: argparse.Namespace) -> int:
    """Export a finished run, and print the signatures of the export. Raises UserError."""
    from tfcollapse.backend import need_tensorflow

    need_tensorflow("export")
    from tfcollapse.exports.saved_model import export_run

    directory, target = pathlib.Path(parsed.run), pathlib.Path(parsed.target)
    exported = export_run(directory, target, input_type=parsed.input, force=parsed.force)
    for name, signature in exported["signatures"].items():
        print(f"{name}: {_tensors(signature['inputs'])} -> {_tensors(signature['outputs'])}")
    print(f"wrote {exported['path']}; a fresh process answers within {exported['largest_difference']:.1g} of this one")
    return 0


def _tensors(tensors: dict[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in tensors.items())

"""`tfcollapse blame`: train the AE twin and other arms that tell who is to blame for a collapse."""

from __future__ import annotations

import argparse
import importlib.util
import json
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfcollapse.cli.arguments import add_data_dir, add_settings
from tfcollapse.cli.diagnose import named_images
from tfcollapse.errors import ConfigError

if TYPE_CHECKING:
    from tfcollapse.config.declaration import Run
    from tfcollapse.diagnosis.blame import Blame, Build

HELP = "train the AE twin and other arms that tell who is to blame for a collapse"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--config", metavar="FILE", help="start from the config.json of a run")
    parser.add_argument(
        "--build",
        metavar="FILE.py:FUNCTION",
        help="use an architecture of your own: a function from a seed to two Keras models",
    )
    parser.add_argument("--data", metavar="NAME|FILE.npy", help="with --build: the images (default: those of the run)")
    parser.add_argument("--out", default="out/blame", help="the directory of the arms' runs (default: out/blame)")
    parser.add_argument("--page", metavar="FILE.md", help="write the tables and every diagnosis as a page")
    parser.add_argument("--json", action="store_true", help="print JSON in place of text")
    add_settings(parser)
    add_data_dir(parser)


def run(parsed: argparse.Namespace) -> int:
    """Blame a run that settings declare, or an architecture of the user's own. Raises UserError."""
    from tfcollapse.backend import need_tensorflow

    need_tensorflow("blame")
    from tfcollapse.config.overrides import configured
    from tfcollapse.records.provenance import environment
    from tfcollapse.reports import blame_page
    from tfcollapse.reports.markdown import markdown

    def say(line: str) -> None:
        if not parsed.json:
            print(line, flush=True)

    declared = configured(parsed.config, parsed.settings)
    if parsed.build is None:
        from tfcollapse.diagnosis.blame import blame

        result = blame(declared, parsed.out, data_dir=parsed.data_dir, command=parsed.command_line, say=say)
    else:
        result = _blame_build(parsed.build, declared, parsed.data, parsed.data_dir, say)
    if parsed.page is not None:
        blame_page.write(pathlib.Path(parsed.page), result, declared, environment(command=parsed.command_line))
    if parsed.json:
        print(json.dumps(result.as_json(), indent=1))
    else:
        print(f"\n{markdown(blame_page.blame_tables(result))}\nresponsible: {result.responsible_text}")
    return 0


def _blame_build(
    builder: str, declared: Run, images_name: str | None, data_dir: str | None, say: Callable[[str], None]
) -> Blame:
    """Blame the architecture that `builder` makes, trained as `declared` says on its images or on those named."""
    from tfcollapse.data.dataset import load
    from tfcollapse.diagnosis.blame import blame_build

    build = _builder(builder)
    if images_name is None:
        images = load(declared.data, data_dir=data_dir).train
    else:
        images = named_images(images_name, data_dir)
    return blame_build(
        build, images, objective=declared.objective, training=declared.training, seed=declared.seed, say=say
    )


def _builder(reference: str) -> Build:
    """Load the function that FILE.py:FUNCTION names, which is the user's own code. Raises ConfigError."""
    file, _, function = reference.rpartition(":")
    path = pathlib.Path(file)
    if path.suffix != ".py" or not path.is_file():
        raise ConfigError(f"--build: expected FILE.py:FUNCTION, received '{reference}'")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own file may raise anything
        line = (str(error).strip().splitlines() or [""])[0][:160]
        raise ConfigError(f"--build: '{path}' cannot be imported: {type(error).__name__}: {line}") from error
    if not callable(getattr(module, function, None)):
        raise ConfigError(f"--build: '{path}' has no function '{function}'")
    return getattr(module, function)

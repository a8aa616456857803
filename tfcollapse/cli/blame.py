"""`tfcollapse blame`: train the AE twin and other arms that tell who is to blame for a collapse."""

from __future__ import annotations

import argparse
import importlib.util
import json
import pathlib
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
    parser.add_argument("--config", metavar="FILE", help="a run's config.json to start from")
    parser.add_argument(
        "--build", metavar="FILE.py:FUNCTION", help="an architecture of your own: seed to two Keras models"
    )
    parser.add_argument("--data", metavar="NAME|FILE.npy", help="with --build: images (default: those of the run)")
    parser.add_argument("--out", default="out/blame", help="directory of the arms' runs (default: out/blame)")
    parser.add_argument("--page", metavar="FILE.md", help="write the tables and every diagnosis as a page")
    parser.add_argument("--json", action="store_true")
    add_settings(parser)
    add_data_dir(parser)


def run(parsed: argparse.Namespace) -> int:
    """Blame a run of ours by its settings, or a builder of a user's own. Raises UserError."""
    from tfcollapse.backend import need_tensorflow

    need_tensorflow("blame")
    from tfcollapse.config.overrides import configured
    from tfcollapse.records.provenance import environment
    from tfcollapse.reports import blame_page
    from tfcollapse.reports.markdown import markdown

    declared = configured(parsed.config, parsed.settings)
    found = _blamed(declared, parsed)
    if parsed.page is not None:
        blame_page.write(pathlib.Path(parsed.page), found, declared, environment(command=parsed.command_line))
    if parsed.json:
        print(json.dumps(found.as_json(), indent=1))
    else:
        print(f"\n{markdown(blame_page.blame_tables(found))}\nresponsible: {blame_page.responsible(found)}")
    return 0


def _blamed(declared: Run, parsed: argparse.Namespace) -> Blame:
    from tfcollapse.data.dataset import load
    from tfcollapse.diagnosis.blame import blame, blame_build

    def say(line: str) -> None:
        if not parsed.json:
            print(line, flush=True)

    where = parsed.data_dir
    if parsed.build is None:
        return blame(declared, parsed.out, data_dir=where, command=parsed.command_line, say=say)
    build = _builder(parsed.build)
    images = load(declared.data, data_dir=where).train if parsed.data is None else named_images(parsed.data, where)
    options = {"objective": declared.objective, "training": declared.training, "seed": declared.seed}
    return blame_build(build, images, say=say, **options)


def _builder(named: str) -> Build:
    """Load FILE.py:FUNCTION, the user's own code."""
    file, _, function = named.rpartition(":")
    path = pathlib.Path(file)
    if path.suffix != ".py" or not path.is_file():
        raise ConfigError(f"--build: expected FILE.py:FUNCTION, received '{named}'")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a stranger's file raises
        line = (str(error).strip().splitlines() or [""])[0][:160]
        raise ConfigError(f"--build: '{path}' cannot be imported: {type(error).__name__}: {line}") from error
    if not callable(getattr(module, function, None)):
        raise ConfigError(f"--build: '{path}' has no function '{function}'")
    return getattr(module, function)

"""`tfcollapse data`: list the datasets at hand, or prepare one."""

from __future__ import annotations

import argparse

from tfcollapse.cli.arguments import add_data_dir
from tfcollapse.errors import ConfigError

HELP = "list the datasets at hand, or prepare one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", choices=["list", "prepare"], help="list the prepared datasets, or prepare one")
    parser.add_argument("name", nargs="?", help="with prepare: the name of the dataset, or a .npy or .npz file")
    add_data_dir(parser)


def run(parsed: argparse.Namespace) -> int:
    """List the datasets that are prepared, or fetch and decode one. Raises UserError."""
    from tfcollapse.config.declaration import Data
    from tfcollapse.data import tfds
    from tfcollapse.data.dataset import load

    if parsed.action == "list":
        if parsed.name:
            raise ConfigError(f"data list: expected no name, received '{parsed.name}': did you mean data prepare?")
        print("\n".join(tfds.prepared_names(parsed.data_dir)))
        return 0
    if not parsed.name:
        raise ConfigError("data prepare: expected the name of a dataset, or a file of images, .npy or .npz")
    images = load(Data(name=parsed.name), data_dir=parsed.data_dir)
    print(f"{images.source}: {len(images.train)} train and {len(images.test)} test images of {images.image_shape}")
    return 0

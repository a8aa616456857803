"""`tfcollapse data`: list the datasets at hand, or prepare one."""

from __future__ import annotations

import argparse

from tfcollapse.cli.announcement import announce
from tfcollapse.cli.arguments import add_data_dir
from tfcollapse.errors import ConfigError

HELP = "list the datasets that are ready on this machine, or prepare one"
DESCRIPTION = """\
list: print the names of the datasets that are ready to be trained on.
prepare: fetch a dataset with TensorFlow Datasets where it is missing, or read a
file of your own, and keep its decoded images for every later run, in
~/.cache/tfcollapse or in the directory that TFCOLLAPSE_CACHE names."""
EXAMPLES = (
    ("the datasets that are ready", "tfcollapse data list"),
    ("the images that the package carries", "tfcollapse data prepare fashion_mnist_mini"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("action", metavar="ACTION", choices=["list", "prepare"], help="list or prepare")
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME|FILE",
        help="with prepare: a name of TensorFlow Datasets, such as cifar10, or a .npy or .npz file of images",
    )
    add_data_dir(parser)


def run(parsed: argparse.Namespace) -> int:
    """List the datasets that are prepared, or fetch and decode one. Raises UserError."""
    from tfcollapse.config.declaration import Data
    from tfcollapse.data import image_files, tfds
    from tfcollapse.data.dataset import load

    if parsed.action == "list":
        if parsed.name:
            raise ConfigError(f"data list: expected no name, received '{parsed.name}': did you mean data prepare?")
        print("\n".join(tfds.prepared_names(parsed.data_dir)))
        return 0
    if not parsed.name:
        raise ConfigError("data prepare: expected the name of a dataset, or a file of images, .npy or .npz")
    at_hand = parsed.name == tfds.MINI or image_files.is_file(parsed.name)
    if not at_hand and tfds.prepared_directory(parsed.name, parsed.data_dir) is None:
        place = tfds.tfds_directory(parsed.data_dir)
        announce(f"{parsed.name} to fetch with TensorFlow Datasets", "minutes to hours, by its size", place)
    images = load(Data(name=parsed.name), data_dir=parsed.data_dir)
    print(f"{images.source}: {len(images.train)} train and {len(images.test)} test images of {images.image_shape}")
    return 0

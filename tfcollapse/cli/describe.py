"""`tfcollapse describe`: print the layers, parameters and FLOPs of a network."""

from __future__ import annotations

import argparse
import json

from tfcollapse.cli.arguments import add_json, add_settings
from tfcollapse.config.declaration import LARGEST_SIDE
from tfcollapse.errors import ConfigError

HELP = "print the layers, parameters and FLOPs of a network"
DESCRIPTION = """\
Print the layers of the network that --set declares, with their output shapes
and parameters, and the FLOPs (two for a multiplication) of an image and of a
training step. Nothing is trained."""
EXAMPLES = (
    ("the paper's dense VAE with ten hidden layers", "tfcollapse describe --set network.depth=10"),
    (
        "its convolutional VAE, on colour images of 32 by 32 pixels",
        "tfcollapse describe --set network.architecture=convolutional --image-shape 32,32,3",
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--image-shape", default="28,28,1", metavar="H,W,C", help="height, width, channels (default: 28,28,1)"
    )
    add_json(parser)
    add_settings(parser)


def run(parsed: argparse.Namespace) -> int:
    """Print the layers, parameters and FLOPs of the network that the settings declare. Raises ConfigError."""
    from tfcollapse.backend import start
    from tfcollapse.config.overrides import configured

    declared, image_shape = configured(None, parsed.settings), _image_shape(parsed.image_shape)
    start()
    from tfcollapse.models.description import describe, lines

    facts = describe(declared, image_shape)
    print(json.dumps(facts, indent=1) if parsed.json else "\n".join(lines(facts)))
    return 0


def _image_shape(text: str) -> tuple[int, int, int]:
    try:
        height, width, channels = (int(part) for part in text.split(","))
        if min(height, width, channels) < 1 or max(height, width, channels) > LARGEST_SIDE:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"--image-shape: expected H,W,C such as 28,28,1, at most {LARGEST_SIDE} each, received '{text}'"
        ) from None
    return height, width, channels

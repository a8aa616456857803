"""Reload an export, and compare its answers with what is expected.

This is a script for a process that imports nothing of this package.

Usage: python -I reload_check.py EXPORT FOLDER. FOLDER/inputs.npz holds inputs by name, and FOLDER/expected.npz answers
by "signature/output/rows". It prints a JSON object. Where an answer differs it prints one line and exits with 1.
"""

import json
import sys

import numpy as np

TOLERANCE = 1e-6
"""The largest difference that passes, relative to the largest number of an answer where that is above 1."""

ROWS = (1, 3)
"""The batch sizes to compare. Each has its own answer, since a product of another size is summed in another order."""


def first(value, rows):
    """Return the first `rows` of a batch. A scalar is returned as it is."""
    return value[:rows] if value.ndim else value


def _texts(specs):
    return {name: f"{spec.dtype.name} {spec.shape.as_list()}" for name, spec in sorted(specs.items())}


def _saved_model(path, inputs):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    answers, signatures = {}, {}
    for name, function in loaded.signatures.items():
        specs = function.structured_input_signature[1]
        signatures[name] = {"inputs": _texts(specs), "outputs": _texts(function.structured_outputs)}
        for rows in ROWS:
            outputs = function(
                **{key: tf.constant(first(inputs[key], rows), spec.dtype) for key, spec in specs.items()}
            )
            answers |= {f"{name}/{key}/{rows}": value.numpy() for key, value in outputs.items()}
    return answers, signatures


def main(path, folder, answer=_saved_model):
    """Compare what `answer` gets from the export at `path` with what is expected, and return the exit status."""
    inputs, expected = (dict(np.load(f"{folder}/{name}.npz")) for name in ("inputs", "expected"))
    answers, signatures = answer(path, inputs)
    if set(answers) != set(expected):
        print(f"expected {sorted(expected)}, received {sorted(answers)}", file=sys.stderr)
        return 1
    worst = 0.0
    for name, received in answers.items():
        wanted = expected[name]
        if received.shape != wanted.shape:
            print(f"{name}: expected shape {wanted.shape}, received {received.shape}", file=sys.stderr)
            return 1
        difference = float(np.abs(received - wanted).max() / max(1.0, np.abs(wanted).max()))
        if not difference <= TOLERANCE:  # NaN, which every comparison refuses, too
            print(f"{name}: differs by {difference:.3g}, and at most {TOLERANCE:g} is expected", file=sys.stderr)
            return 1
        worst = max(worst, difference)
    ours = sorted(name for name in sys.modules if name.split(".")[0] == "tfcollapse")
    print(json.dumps({"signatures": signatures, "largest_difference": worst, "imported_of_tfcollapse": len(ours)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

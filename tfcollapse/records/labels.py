"""Name the columns of tables as a reader sees them: on pages, and in short on a terminal."""

from __future__ import annotations

_LABELS = {
    "architecture": "network",
    "block_depth": "convolutions a block",
    "dataset": "data",
    "gamma_mode": "gamma is",
    "initializer": "initialiser",
    "kl": "KL (nats)",
    "kl_nats": "KL nats",
    "mutual_information": "I_q(x; z) (nats)",
    "negative_elbo": "negative ELBO (nats)",
    "test_negative_elbo": "negative ELBO of test images (nats)",
    "reconstruction_error": "error per pixel",
    "sigma_above_0.9": "share of sigma_z > 0.9",
}
"""The label of a column, where it is not the column's name with spaces."""

_SHORT = {
    "train_error": "train",
    "test_error": "test",
    "active_units": "active",
    "kl": "KL",
    "steps_per_second": "steps/s",
}
"""A shorter label, for a table that must fit a terminal of 80 characters."""


def label(column: str) -> str:
    """Return the label of a column of any table, such as "KL (nats)" for "kl"."""
    return _LABELS.get(column, column.replace("_", " "))


def short_label(column: str) -> str:
    """Return the label of a column for a terminal, such as "KL" for "kl"."""
    return _SHORT.get(column, label(column))

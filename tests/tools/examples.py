"""Small runs and tables that tests begin with."""

from tfcollapse.config.declaration import NUMERICS, Data, Network, Objective, Run, Training
from tfcollapse.data.tfds import MINI


def tiny(*, objective: Objective | None = None, seed: int = 0, **training) -> Run:
    """A run of the packaged images that takes a second."""
    settings = {"steps": 40, "batch": 16, "log_every": 10, "evaluate_every": 20, "checkpoint_every": 20}
    return Run(
        data=Data(name=MINI, train=200, test=50),
        network=Network(depth=2, width=24, latent_dim=6),
        objective=objective or Objective(gamma="optimal"),
        training=Training(**settings | training),
        seed=seed,
    )


def table_row(**values) -> dict:
    """A row of a study's table: a finished AE of the paper's length, but for what `values` say."""
    row = {
        "run_id": "ae",
        "status": "finished",
        "reason": None,
        "objective": "AE",
        "gamma_mode": None,
        "gamma_start": None,
        "warmup_steps": None,
        "architecture": "dense",
        "depth": 2,
        "base_channels": None,
        "block_depth": None,
        "latent_dim": 64,
        "initializer": "glorot_uniform",
        "seed": 0,
        "numerics": NUMERICS,
        "steps": 250_000,
        "batch": 64,
        "learning_rate": 2e-4,
        "halve_every": 100_000,
        "dataset": "fashion_mnist 3.0.1",
        "image_shape": "28x28x1",
        "train_images": 60_000,
        "test_images": 10_000,
        "mean_predictor_error": 0.087,
        "pca_error": 0.0103,
        "seconds": 10.0,
        "commit": "abc",
        "machine": "here",
        "versions": "numpy 2",
        "command": "tfcollapse sweep fig1_left",
    }
    return row | values

"""tfcollapse: which kind of posterior collapse a VAE has, what causes it, and the paper's experiments."""

import importlib
from typing import Any

__version__ = "0.1.0"

# A public name is imported when it is first used. So importing the package, or printing the help, takes no time.
_PUBLIC = {
    "Autoencoder": "tfcollapse.models.autoencoder",
    "Posterior": "tfcollapse.models.autoencoder",
    "load_model": "tfcollapse.models.autoencoder",
    "Data": "tfcollapse.config.declaration",
    "Network": "tfcollapse.config.declaration",
    "Objective": "tfcollapse.config.declaration",
    "Run": "tfcollapse.config.declaration",
    "Training": "tfcollapse.config.declaration",
    "grid": "tfcollapse.config.overrides",
    "load": "tfcollapse.data.dataset",
    "Study": "tfcollapse.studies.study",
    "Claim": "tfcollapse.claims.claim",
    "depth_sweep": "tfcollapse.studies.study",
    "build": "tfcollapse.models.build",
    "train": "tfcollapse.training.trainer",
    "train_together": "tfcollapse.training.trainer",
    "export": "tfcollapse.exports.saved_model",
    "diagnose": "tfcollapse.diagnosis.diagnose",
    "Diagnosis": "tfcollapse.diagnosis.diagnose",
    "Loss": "tfcollapse.diagnosis.loss",
    "Likelihood": "tfcollapse.diagnosis.likelihoods",
    "negative_binomial": "tfcollapse.diagnosis.likelihoods",
    "blame": "tfcollapse.diagnosis.blame.experiment",
    "blame_build": "tfcollapse.diagnosis.blame.experiment",
    "from_jax": "tfcollapse.diagnosis.adapter.frameworks",
    "from_torch": "tfcollapse.diagnosis.adapter.frameworks",
    "Blame": "tfcollapse.diagnosis.blame.experiment",
    "layer_gains": "tfcollapse.diagnosis.blame.layer_gains",
    "CollapseMonitor": "tfcollapse.diagnosis.monitor",
    "CollapseWarning": "tfcollapse.diagnosis.monitor",
    "UserError": "tfcollapse.errors",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tfcollapse' has no attribute '{name}'")
    try:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    except ModuleNotFoundError as error:
        from tfcollapse.errors import NO_KERAS, NO_TENSORFLOW, ConfigError

        if error.name not in ("keras", "tensorflow"):
            raise
        raise ConfigError(NO_TENSORFLOW if error.name == "tensorflow" else f"{name}: {NO_KERAS}") from None


def __dir__() -> list[str]:
    return sorted(__all__)

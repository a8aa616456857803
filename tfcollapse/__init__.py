"""Find out which kind of posterior collapse a VAE has and what causes it, and run the experiments of the paper.

The paper is "The Usual Suspects? Reassessing Blame for VAE Posterior Collapse" (Dai, Wang and Wipf, ICML 2020). Its
equation numbers stand behind what they define.

`__all__` of this module decides what is public: the names on this page, and those of the four packages among them:
`tfcollapse.claims`, `tfcollapse.figures`, `tfcollapse.lab` and `tfcollapse.theory`. Everything else may change without
notice.

| to | names |
| --- | --- |
| diagnose a VAE | `diagnose`, `Loss`, `Likelihood`, `negative_binomial`, `from_torch`, `from_jax`, `Thresholds` |
| read a diagnosis | `Diagnosis`, `Verdict`, `Evidence`, `Measurements`, `Information`, `Misreading` |
| find the cause of a collapse | `blame`, `blame_build`, `Blame`, `Arm`, `Finding`, `layer_gains`, `LayerGain` |
| watch a training with Keras' fit | `CollapseMonitor`, `CollapseWarning` |
| declare and train a run | `Run`, `Data`, `Network`, `Objective`, `Training`, `train`, `train_together`, `Progress` |
| use a model | `build`, `load_model`, `export`, `Autoencoder`, `Posterior`, `LossTerms` |
| read images | `load`, `Dataset` |
| declare a study, read its table | `Study`, `grid`, `depth_sweep`, `read_table`, `Claim` |
| handle errors | `UserError`, `ConfigError`, `DataError`, `RunError` |

Every example on these pages runs as it stands, in the folder of the repository, after the first two lines of this one:

Example:
  >>> import numpy as np
  >>> import tfcollapse as tc
  >>> images = tc.load(tc.Data(name="fashion_mnist_mini"))
  >>> images.train.shape, images.test.shape
  ((10000, 28, 28, 1), (2000, 28, 28, 1))
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# A public name is imported when it is first used. So importing the package, or printing the help, takes no time.
_PUBLIC = {
    "diagnose": "tfcollapse.diagnosis.diagnose",
    "Loss": "tfcollapse.diagnosis.loss",
    "Likelihood": "tfcollapse.diagnosis.likelihoods",
    "negative_binomial": "tfcollapse.diagnosis.likelihoods",
    "from_torch": "tfcollapse.diagnosis.adapter.frameworks",
    "from_jax": "tfcollapse.diagnosis.adapter.frameworks",
    "Thresholds": "tfcollapse.diagnosis.evidence",
    "Diagnosis": "tfcollapse.diagnosis.diagnose",
    "Verdict": "tfcollapse.diagnosis.verdict",
    "Evidence": "tfcollapse.diagnosis.evidence",
    "Measurements": "tfcollapse.diagnosis.measurements",
    "Information": "tfcollapse.metrics.information",
    "Misreading": "tfcollapse.diagnosis.consistency",
    "blame": "tfcollapse.diagnosis.blame.experiment",
    "blame_build": "tfcollapse.diagnosis.blame.experiment",
    "Blame": "tfcollapse.diagnosis.blame.experiment",
    "Arm": "tfcollapse.diagnosis.blame.arms",
    "Finding": "tfcollapse.diagnosis.blame.verdict",
    "layer_gains": "tfcollapse.diagnosis.blame.layer_gains",
    "LayerGain": "tfcollapse.diagnosis.blame.layer_gains",
    "CollapseMonitor": "tfcollapse.diagnosis.monitor",
    "CollapseWarning": "tfcollapse.diagnosis.monitor",
    "Run": "tfcollapse.config.declaration",
    "Data": "tfcollapse.config.declaration",
    "Network": "tfcollapse.config.declaration",
    "Objective": "tfcollapse.config.objective",
    "Training": "tfcollapse.config.declaration",
    "train": "tfcollapse.training.trainer",
    "train_together": "tfcollapse.training.trainer",
    "Progress": "tfcollapse.training.progress",
    "build": "tfcollapse.models.build",
    "load_model": "tfcollapse.models.autoencoder",
    "export": "tfcollapse.exports.saved_model",
    "Autoencoder": "tfcollapse.models.autoencoder",
    "Posterior": "tfcollapse.models.autoencoder",
    "LossTerms": "tfcollapse.models.autoencoder",
    "load": "tfcollapse.data.dataset",
    "Dataset": "tfcollapse.data.image_cache",
    "Study": "tfcollapse.studies.study",
    "grid": "tfcollapse.config.overrides",
    "depth_sweep": "tfcollapse.studies.study",
    "read_table": "tfcollapse.records.table",
    "Claim": "tfcollapse.claims.claim",
    "UserError": "tfcollapse.errors",
    "ConfigError": "tfcollapse.errors",
    "DataError": "tfcollapse.errors",
    "RunError": "tfcollapse.errors",
}
_PACKAGES = ("claims", "figures", "lab", "theory")
__all__ = ["__version__", *_PUBLIC, *_PACKAGES]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"tfcollapse.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tfcollapse' has no attribute '{name}'")
    try:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
    except ModuleNotFoundError as error:
        from tfcollapse.errors import NO_KERAS, NO_TENSORFLOW, ConfigError

        if error.name not in ("keras", "tensorflow"):
            raise
        raise ConfigError(NO_TENSORFLOW if error.name == "tensorflow" else f"{name}: {NO_KERAS}") from None
    globals()[name] = value  # the next use finds it here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""Test the paper's propositions: compare the closed forms with descents, trained Keras models and deep networks.

`tfcollapse theory` runs it. One of its modules is of use by itself and public: `tfcollapse.lab.containment`.
"""

import importlib
from typing import Any

__all__ = ["containment"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return importlib.import_module(f"{__name__}.{name}")

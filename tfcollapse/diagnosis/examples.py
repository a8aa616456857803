"""Read the examples of a diagnosis: arrays of any range, files, data sets, generators."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tfcollapse.data.array_files import SUFFIXES, ArrayFile
from tfcollapse.data.image_files import NAMES
from tfcollapse.data.memory_mapped import blocks
from tfcollapse.errors import ConfigError, DataError

FIRST = 10_000
"""The examples that are taken from an iterable, which may have no end, where nothing else is said."""
_BLOCK_NUMBERS = 1 << 22
_STEPS = 8
"""Steps of float32 that the numbers of a column must go over, or little of their differences reaches the model."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """Rows of data, and the units in which a model sees them.

    Attributes:
      array: [n >= 2, ...], finite numbers; a memory-mapped file stays one.
      scale: the numbers are divided by it: 255 for uint8 that holds other values than 0 and 1, else 1.
      description: what was taken, on one line.
      chosen: whether there is more: other examples, or other arrays beside this one.
    """

    array: np.ndarray
    scale: float
    description: str
    chosen: bool = False

    def __len__(self) -> int:
        return len(self.array)

    def take(self, count: int) -> Examples:
        """Return `count` examples, evenly spread, in the same units."""
        description = f"{count:,}, evenly spread, of {self.description}"
        return dataclasses.replace(self, array=_evenly_spread(self.array, count), description=description, chosen=True)

    def as_float(self, block: np.ndarray) -> np.ndarray:
        """Return some rows of the array as the model sees them: float32, divided by the scale."""
        block = np.asarray(block, np.float32)
        return block if self.scale == 1 else block / np.float32(self.scale)


def read_examples(data: Any, first: int | None = None) -> Examples:
    """Read examples, the rows of `data`, in the units that they have.

    uint8 is divided by 255, as images are, unless the whole array holds 0 and 1 alone. bool is 0 and 1. All other
    numbers stay as they are: standardised, in [-1, 1], decibels, counts.

    Args:
      data: an array, tensor or list of rows, [n >= 2, ...]; the path of a .npy file, or of a .npz file of one array or
        one named train; a `tf.data.Dataset`, a torch `DataLoader`, or any other iterable of batches [n, ...]; a torch
        `Dataset`. A tuple, such as (x, label), stands for its first array; a dictionary for its one array, or the one
        named "image". `Examples` are returned as they are.
      first: take so many examples alone: of an array evenly spread ones, of an iterable the first ones. None for all,
        but 10,000 of an iterable.

    Raises:
      ConfigError: fewer than two examples, rows that differ in shape, no numbers, NaN or infinity, examples that are
        all the same, a column of a table that float32 makes nearly constant, a dictionary or file of several arrays, a
        file that cannot be read.

    Example:
      >>> import numpy as np
      >>> from tfcollapse.diagnosis.examples import read_examples
      >>> read_examples(batch for batch in np.eye(6).reshape(3, 2, 6)).description
      'all 6 examples of a generator'
    """
    if first is not None and first < 2:
        raise ConfigError(f"examples: expected at least 2, received {first}")
    if isinstance(data, Examples):  # their units are those of the whole array
        return data if first is None or first >= len(data) else data.take(first)
    if isinstance(data, (str, pathlib.Path)):
        data = _open(pathlib.Path(data))
    # A list is one of rows; as a batch it is what torch's DataLoader makes of (x, label).
    data, said = (data, "") if isinstance(data, list) else _choose(data)
    if _is_array(data):
        whole = _array(data)
        array = _evenly_spread(whole, first) if whole.ndim else whole
        description, left = _count(len(whole), len(array)) if whole.ndim else "", array.shape != whole.shape
    elif isinstance(data, Iterable) or hasattr(data, "__getitem__"):
        array, description, left = _first_of(data, FIRST if first is None else first)
    else:
        raise ConfigError(f"data: expected an array, a file or an iterable of batches, received {type(data).__name__}")
    _check(array)
    _check_precision(array)
    scale = _scale(array)
    return Examples(
        array, scale, description + said + (", uint8 divided by 255" if scale != 1 else ""), left or bool(said)
    )


def _open(path: pathlib.Path) -> Any:
    """Open a .npy file, mapped, or read the array of a .npz file that the model was trained on. Raises ConfigError."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"data: expected a .npy or .npz file, received '{path}': a data set is loaded by "
            f"tfcollapse.load(tfcollapse.Data(name='{path}')).train"
        )
    try:
        file = ArrayFile(str(path), "data:")
        names = list(file.headers)
        chosen = names if len(names) == 1 else [name for name in NAMES["train"] if name in names]
        if chosen:
            return file[chosen[0]]
    except DataError as error:
        raise ConfigError(str(error)) from None
    raise ConfigError(
        f"data: expected one array in '{path}', or one named train, received {', '.join(names)}: write the one "
        f"that the model was trained on into a file of its own, np.save('x.npy', np.load('{path}')[NAME])"
    )


def _is_choice(data: Any) -> bool:
    """Return whether one of several arrays has to be taken: a dictionary, or a tuple such as (x, label)."""
    return isinstance(data, Mapping) or (
        isinstance(data, (tuple, list)) and bool(data) and (hasattr(data[0], "shape") or isinstance(data[0], Mapping))
    )


def _choose(batch: Any) -> tuple[Any, str]:
    """Return the array that a batch stands for, and words about the choice. Raises ConfigError."""
    if not _is_choice(batch):
        return batch, ""
    if isinstance(batch, Mapping):
        names = list(batch)
        name = names[0] if len(names) == 1 else "image"
        if name not in names:
            raise ConfigError(
                f'data: expected a dictionary of one array, or with an "image", received the names '
                f"{', '.join(map(str, names)) or 'of none'}: give data[NAME]"
            )
        chosen, said = _choose(batch[name])
        return chosen, f", '{name}' of a dictionary" + said
    chosen, said = _choose(batch[0])
    return chosen, (f", the first array of {len(batch)}" if len(batch) > 1 else "") + said


def _is_array(data: Any) -> bool:
    """Return whether NumPy makes an array of it: an array, a tensor, a table, a list of rows, a number."""
    return (
        isinstance(data, (list, tuple)) or np.isscalar(data) or hasattr(data, "__array__") or hasattr(data, "toarray")
    )


def _array(data: Any) -> np.ndarray:
    """Make an array of arrays, tensors, sparse matrices, tables and lists. Raises ConfigError."""
    if hasattr(data, "detach"):  # torch: NumPy reads neither gradients nor other devices
        data = data.detach().cpu()
        data = data.float() if data.is_floating_point() else data
    if hasattr(data, "toarray"):  # scipy.sparse
        data = data.toarray()
    try:
        array = np.asarray(data)
    except (ValueError, TypeError) as error:
        what = "rows of unequal length" if isinstance(data, (list, tuple)) else f"{type(data).__name__}: {error}"
        raise ConfigError(f"data: expected an array [n >= 2, ...] of numbers, received {what}") from None
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _first_of(batches: Any, wanted: int) -> tuple[np.ndarray, str, bool]:
    """Read an iterable up to so many examples. Raises ConfigError.

    Returns:
      The examples, words about them, and whether there is more: examples, or arrays beside this one.
    """
    parts: list[np.ndarray] = []
    count, said, ended = 0, "", True
    for batch in _read(batches):
        chosen, said = _choose(batch)
        part = _array(chosen)
        part = part[None] if part.ndim < 2 or _of_single_examples(batches) else part
        if parts and part.shape[1:] != parts[0].shape[1:]:
            raise ConfigError(
                f"data: expected examples of one shape, received {parts[0].shape[1:]} and then {part.shape[1:]}"
            )
        parts.append(part[: wanted - count])
        count += len(parts[-1])
        if count >= wanted:
            ended = False
            break
    kind = type(batches).__name__
    if not parts:
        raise ConfigError(f"data: expected batches of examples, received a {kind} that gives none (any more)")
    which = f"all {count:,}" if ended else f"the first {count:,}"
    return np.concatenate(parts), f"{which} examples of a {kind.lstrip('_')}{said}", not ended or bool(said)


def _read(batches: Any) -> Iterator[Any]:
    """Yield what an iterable of the user's yields. Raises ConfigError where that fails."""
    number, iterator = 0, iter(batches)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except Exception as error:  # a user's own code may raise anything
            line = (str(error).strip().splitlines() or [""])[0][:160]
            raise ConfigError(
                f"data: expected batches of examples, received {type(error).__name__} at number {number}: {line}"
            ) from error
        number += 1
        yield batch


def _of_single_examples(batches: Any) -> bool:
    """Return whether an iterable gives examples one by one, as a torch `Dataset` does, and not batches."""
    return any(kind.__name__ == "Dataset" and kind.__module__.startswith("torch") for kind in type(batches).__mro__)


def _count(there: int, taken: int) -> str:
    return f"{there:,} examples" if there == taken else f"{taken:,} of {there:,} examples, evenly spread"


def _evenly_spread(array: np.ndarray, count: int | None) -> np.ndarray:
    """Return at most `count` rows, evenly spread: the first ones of a sorted data set are all of one kind."""
    if count is None or count >= len(array):
        return array
    return array[np.linspace(0, len(array) - 1, count).astype(int)]


def _check(array: np.ndarray) -> None:
    """Raise ConfigError for anything but [n >= 2, ...] of finite numbers that differ."""
    if array.dtype.kind not in "buif" or array.ndim < 2 or len(array) < 2 or not array.size:
        hint = ": a column of numbers is x[:, None]" if array.ndim == 1 and len(array) > 1 else ""
        raise ConfigError(
            f"data: expected an array [n >= 2, ...] of numbers, received {array.dtype} of shape {array.shape}{hint}"
        )
    differ = False
    for block in _blocks(array):
        if array.dtype.kind == "f":
            _check_finite(block)
        differ = differ or bool((block != array[:1]).any())
        if differ and array.dtype.kind != "f":
            return
    if not differ:
        raise ConfigError("data: expected examples that differ, received examples that are all the same")


def _check_finite(block: np.ndarray) -> None:
    """Raise ConfigError where a number is NaN, infinite, or too large for float32."""
    with np.errstate(over="ignore"):
        finite = np.isfinite(block.astype(np.float32, copy=False)).reshape(len(block), -1)
    if not finite.all():
        rows = len(block) - int(finite.all(axis=1).sum())
        raise ConfigError(
            f"data: expected finite numbers, received NaN or infinity in {rows:,} of {len(block):,} rows of one "
            "block: leave such rows out, or fill them in as for training"
        )


def _check_precision(array: np.ndarray) -> None:
    """Raise ConfigError for a column whose numbers differ, but hardly in float32, which the model is given."""
    if array.ndim != 2 or array.dtype.itemsize < 4 or array.dtype == np.float32:
        return
    low, high = array[0].astype(np.float64), array[0].astype(np.float64)
    for block in _blocks(array):
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    largest = np.maximum(np.abs(low), np.abs(high))
    # Less than 1e-12 is the rounding of float64, of a column that is constant.
    coarse = (high - low > 1e-12 * largest) & (high - low < _STEPS * np.spacing(largest.astype(np.float32)))
    if coarse.any():
        column = int(np.argmax(coarse))
        raise ConfigError(
            f"data: expected columns whose numbers differ in float32, received {low[column]:.12g} to "
            f"{high[column]:.12g} in column {column}: subtract its mean, as for training"
        )


def _scale(array: np.ndarray) -> float:
    """Return what the numbers are divided by."""
    if array.dtype != np.uint8:
        return 1.0
    return 255.0 if any((block > 1).any() for block in _blocks(array)) else 1.0


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the array in blocks of a few megabytes."""
    return blocks(array, max(1, _BLOCK_NUMBERS // array[0].size))

"""Say which run, which version of the numbers and which images a record is of, and compare that where it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tfcollapse.config.declaration import Run
from tfcollapse.errors import RunError
from tfcollapse.records import remedies

KEY = "identity"
"""The name under which a record holds its identity. A record that an earlier version wrote has none."""

_WORDS = {"run_id": "run", "numerics": "version of the numbers", "images": "images with the digest"}


def identity(run: Run, images: str | None = None) -> dict[str, Any]:
    """Return what every record of a run names.

    Args:
      run: the declaration.
      images: the digest of the run's images, see `tfcollapse.data.image_cache.Dataset`; None where it is not known.

    Returns:
      "run_id", "numerics", and "images" where it is known.
    """
    return {"run_id": run.run_id, "numerics": run.numerics} | ({} if images is None else {"images": images})


def check_identity(place: str, received: Any, expected: Mapping[str, Any]) -> None:
    """Check that a record is of the run that is expected.

    Args:
      place: the record, as the message names it.
      received: the record's identity; None where an earlier version wrote the record, which is then taken as it is.
      expected: as `identity` returns it.

    Raises:
      RunError: the record names another run, another version of the numbers or other images.
    """
    if received is None:
        return
    if not isinstance(received, Mapping):
        raise RunError(
            f"{place}: expected the identity of a run, received {type(received).__name__}: {remedies.MADE_ANEW}"
        )
    for name, wanted in expected.items():
        if received.get(name, wanted) != wanted:
            remedy = f"restore the images, or {remedies.ANOTHER}" if name == "images" else remedies.MADE_ANEW
            raise RunError(f"{place}: expected {_WORDS[name]} {wanted}, received {received[name]!s:.80}: {remedy}")


def mixed_images(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a notice where rows of one declaration of data were made on different images; else an empty text.

    Args:
      rows: of a table. A row without a digest, as an earlier version wrote it, does not count.
    """
    seen: dict[Any, set[str]] = {}
    for row in rows:
        if row.get("images"):
            declared = tuple(row.get(column) for column in ("dataset", "first_train", "first_test", "crop", "resize"))
            seen.setdefault(declared, set()).add(row["images"])
    mixed = sorted(str(declared[0]) for declared, digests in seen.items() if len(digests) > 1)
    if not mixed:
        return ""
    return f"Runs on {', '.join(mixed)} were made on different images. Their numbers cannot be compared."

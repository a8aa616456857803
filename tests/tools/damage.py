"""Damage the records of a directory at one place at a time, as a broken disk or a stranger may have done."""

import copy
import csv
import gzip
import io
import json
import pathlib
import random
import re

TEXTS = ["", " ", "²", "1_000", "1e400", "nan", "-inf", "-1", "0", "9" * 400, "9" * 5_000, "1e99", "x", "True", "[]"]
TEXTS += ["{}", "a\x00b", "\ud800", "a|b`c`<script>alert(1)</script>", "line\nbreak", "$\\frac{1}{", "../../etc"]
TEXTS += ["x" * 10_000]
VALUES = [None, True, False, 0, -1, 10**400, 1e308, float("nan"), float("inf"), [], {}, [[]], [None], {"a": None}]
VALUES += TEXTS


def damaged(path: pathlib.Path, choose: random.Random) -> str:
    """Damage one place of the file `path`, and return what was done."""
    if choose.random() < 0.15:
        return _bytes(path, choose)
    if path.suffix == ".json":
        tree = json.loads(path.read_text())
        where = choose.choice([place for place in _places(tree) if place])
        what = _change(tree, where, choose)
        path.write_text(json.dumps(tree))
        return f"{'.'.join(map(str, where))} {what}"
    packed = path.suffix == ".gz"
    content = (gzip.decompress(path.read_bytes()) if packed else path.read_bytes()).decode()
    rows = list(csv.reader(io.StringIO(content)))
    row, column = choose.randrange(len(rows)), choose.randrange(len(rows[0]))
    what = choose.choice(["cell", "cell", "cell", "drop", "cut", "more"])
    value = choose.choice(TEXTS)
    if what == "cell":
        rows[row][column] = value
    elif what == "drop":
        for line in rows:
            del line[column]
    elif what == "cut":
        rows = rows[:row]
    else:
        rows[row].append(value)
    written = io.StringIO()
    csv.writer(written, lineterminator="\n", escapechar="\\").writerows(rows)
    content = written.getvalue().encode("utf-8", "surrogatepass")
    path.write_bytes(gzip.compress(content) if packed else content)
    return f"row {row} column {rows[0][column] if rows and column < len(rows[0]) else column}: {what} {value[:40]!r}"


def _bytes(path, choose):
    content = bytearray(path.read_bytes())
    place = choose.randrange(len(content))
    what = choose.choice(["flip", "cut", "insert", "empty"])
    if what == "flip":
        content[place] ^= 1 << choose.randrange(8)
    elif what == "cut":
        del content[place:]
    elif what == "insert":
        content[place:place] = choose.choice([b"\x00", b"\xff\xfe", b"[" * 20_000, b'"'])
    else:
        content.clear()
    path.write_bytes(bytes(content))
    return f"{what} at {place}"


def _places(tree, here=()):
    yield here
    items = tree.items() if isinstance(tree, dict) else enumerate(tree[:3]) if isinstance(tree, list) else ()
    for key, value in items:
        yield from _places(value, (*here, key))


def _change(tree, where, choose):
    *parents, last = where
    place = tree
    for key in parents:
        place = place[key]
    what = choose.choice(["value", "value", "value", "drop", "twice"])
    value = copy.deepcopy(choose.choice(VALUES))
    if what == "value":
        place[last] = value
    elif what == "drop":
        del place[last]
    elif isinstance(place, list):
        place.insert(last, place[last])
    else:
        place[f"{last} again"] = place[last]
    return f"{what} {value!r:.60}"


def one_line(text: str) -> bool:
    """Return whether standard error holds one line that the command line wrote, and nothing else."""
    return re.fullmatch(r"tfcollapse: [^\n]+\n", text) is not None

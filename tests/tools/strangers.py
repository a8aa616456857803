"""What a stranger may send: any JSON, a record changed at some places; and how it must be taken."""

import contextlib
import copy

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tfcollapse.errors import UserError

FUZZ = settings(max_examples=150, deadline=5_000, suppress_health_check=[HealthCheck.function_scoped_fixture])

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**400), 10**400),
    st.integers(-3, 3),
    st.floats(allow_nan=True),
    st.text(max_size=20),
    st.sampled_from(["../../etc/passwd", "/dev/zero", "__import__('os').system('id')", "\x00", "fashion_mnist"]),
)
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=8), v, max_size=4), max_leaves=8
)


def _paths(tree, here=()):
    """Every place in a JSON tree."""
    yield here
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from _paths(value, (*here, key))


@st.composite
def changed(draw, tree):
    """The tree with one to three places replaced by anything, or removed."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from([path for path in _paths(tree) if path] or [("nothing",)]))
        place = tree
        for key in parents:
            place = place[key]
        if draw(st.booleans()) or not isinstance(place, dict):
            place[last] = draw(values)
        else:
            place.pop(last, None)
    return tree


@contextlib.contextmanager
def one_line():
    """Passes where nothing is raised, or a UserError of one line, which it hands out; anything else is a traceback."""
    said = []
    try:
        yield said
    except UserError as error:
        said.append(str(error))
    assert all(text.isprintable() for text in said)

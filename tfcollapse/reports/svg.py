"""Write a figure as SVG within an HTML page."""

from __future__ import annotations

import io
import re

import matplotlib
from matplotlib.figure import Figure


def svg(figure: Figure, salt: str) -> str:
    """Return a figure as an SVG element whose text is text.

    Args:
      figure: to be written.
      salt: what the ids of the element depend on. Figures of one page need different salts.
    """
    written = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    text = written.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    return re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", text)

"""Execute a notebook as it stands, and hold its verdicts against those that it shows.

.venv/bin/python tests/tools/notebooks.py runs/tutorial.ipynb     executes it, and writes what it prints into it
"""

import base64
import io
import os
import pathlib
import re
import sys
import tempfile

import nbformat
from nbclient import NotebookClient
from PIL import Image

_VERDICT = re.compile(
    r"Healthy: |Not trained yet: |Inconsistent: |In use, but |category \(\w+\)"
    r"|Nobody is to blame: |Nothing can be said yet: "
    r"|(?:autoencoder base|KL weight|gamma): (?:responsible|cleared|not tested)"
)
"""What the tutorials rest on. Other suspects may be near a threshold."""
_COLOURS = 64
"""Of a picture. So it takes a third of the space, and its text stays sharp."""
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""So the numbers do not depend on how many cores there are, and other tests may run beside."""
_OF_THE_MACHINE = re.compile(r"(WARNING: All log messages before absl|[IWE]\d{4} |\d{4}-\d\d-\d\d ).*\n?")
"""Lines that TensorFlow's C++ writes on standard error when it starts: processor, GPUs, the time."""


def execute(path: pathlib.Path) -> nbformat.NotebookNode:
    """Return a notebook with the outputs that its code has now. The files that it writes are not kept.

    Raises:
      CellExecutionError: a cell fails; the message has its code and its traceback.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | ONE_THREAD | {"IPYTHONDIR": folder}  # IPython's own files are not kept either
        NotebookClient(
            notebook,
            timeout=1_800,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        ).execute(env=environment)
    notebook.metadata.language_info = {"name": "python"}  # not the version of Python, which differs
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                output.text = _OF_THE_MACHINE.sub("", output.text)
            elif "image/png" in output.get("data", {}):
                output.data["image/png"] = _smaller(output.data["image/png"])
        cell.outputs = [output for output in cell.outputs if output.get("text", "something")]
    return notebook


def _smaller(picture: str) -> str:
    """Return a PNG file in base64 with few colours."""
    small = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
        image.convert("RGB").quantize(_COLOURS).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode() + "\n"


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the cells that hold code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell: nbformat.NotebookNode) -> str:
    """Return what a cell prints, on one line."""
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    return " ".join(text.split())


def verdicts(notebook: nbformat.NotebookNode) -> dict[str, list[str]]:
    """Return the verdicts that each cell prints, by the cell's id: categories, and who is to blame.

    Numbers are left out, as their last digits differ from processor to processor.
    """
    said = {cell.id: _VERDICT.findall(printed(cell)) for cell in code_cells(notebook)}
    return {name: found for name, found in said.items() if found}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        nbformat.write(execute(pathlib.Path(name)), name)

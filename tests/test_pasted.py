"""What people paste from a page is run in CI, or the page says why not; and `tools/pasted.py`, which runs it."""

import ast
import re
import shlex
import subprocess
import sys

import pasted
import pytest
from processes import ROOT

from tfcollapse.cli.main import parser

if not (ROOT / "README.md").is_file():
    pytest.skip("the pages are not installed with the package", allow_module_level=True)

PAGES = sorted([*ROOT.glob("*.md"), *(page for name in ("runs", "tfcollapse") for page in (ROOT / name).rglob("*.md"))])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?tfcollapse (.+)")


def test_the_guides_are_found():
    assert {"README.md", "runs/README.md", "tfcollapse/diagnosis/README.md"} <= set(NAMES)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_is_run_or_says_why_and_could_be_right(page):
    for block in pasted.blocks(page.read_text()):
        if block.language == "python":
            ast.parse(block.text)
            continue
        subprocess.run(["bash", "-n", "-c", block.text], check=True)
        for line in block.text.replace("\\\n", " ").splitlines():
            if command := COMMAND.match(line.strip()):
                parser().parse_args(shlex.split(command[1], comments=True))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_can_be_read_in_one_sitting(page):
    lines = page.read_text().splitlines()
    if page.name == "README.md" and page.parent == ROOT:
        lines = [line for line in lines if not line.startswith("| ")]  # the table of claims grows with the results
    assert len(lines) < 150 or page.name in ("CONTRIBUTING.md", "CHANGELOG.md")


def test_ci_runs_every_page():
    script = (ROOT / ".ci" / "run").read_text()
    (guides,) = re.findall(r"git ls-files -z '\*\.md'(.+) \| xargs", script)
    apart = {name for name in re.findall(r"':!(\S+)'", guides) if name.endswith(".md")}
    assert apart == {name for name in NAMES if f"pasted {name}" in script}
    parts = re.findall(r"pasted README\.md --only (.+)", script)
    assert sorted(parts) == sorted(re.search(r"pasted README\.md --except (.+)", script)[1].split())
    assert set(parts) < {block.heading for block in pasted.blocks((ROOT / "README.md").read_text())}


PAGE = """# Page

```sh
echo one
```

```text
one
```

## Second

```python
first = 1
```

Words.

```python
print(first + 1)
print("noise")
```

```text
2
...
```

```sh not run: it needs a GPU
false
```
"""


def test_blocks_are_found_with_what_they_print():
    first, second, third, last = pasted.blocks(PAGE)
    assert (first.heading, first.language, first.line, first.prints) == ("Page", "sh", 4, "one\n")
    assert (second.heading, second.prints, third.prints) == ("Second", None, "2\n...\n")
    assert (last.not_run, last.text) == ("it needs a GPU", "false\n")
    assert [program.language for program in pasted.programs([first, second, third, last])] == ["sh", "python"]


@pytest.mark.parametrize("fence", ["```", "```bash", "```sh not run:", "```sh skipped", "```text not run: x"])
def test_a_block_that_says_neither_yes_nor_no_is_refused(fence):
    with pytest.raises(ValueError, match="line 1: expected"):
        pasted.blocks(f"{fence}\nls\n```\n")


@pytest.mark.parametrize("page", ["- a list\n  ```sh\n  ls\n  ```\n", "> ```sh\n> ls\n> ```\n", "~~~sh\nls\n~~~\n"])
def test_a_block_that_would_be_overlooked_is_refused(page):
    with pytest.raises(ValueError, match="expected ``` at the beginning of the line"):
        pasted.blocks(page)


def test_a_block_ends():
    assert pasted.blocks("```sh\nls\n``` \n\n```sh\ncd\n```\n")[0].text == "ls\n"
    with pytest.raises(ValueError, match="line 1: expected a line ``` that ends the block"):
        pasted.blocks("```sh\nls\n")


@pytest.mark.parametrize(
    ("prints", "said", "agrees"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\n...\nc\n", "a\nb\nb\nc\n", True),
        ("a\n...\n", "a\n", True),
        ("a\n", "a  \n", True),
        ("a\n", "a\nb\n", False),
        ("a.c\n", "abc\n", False),
        ("...\nb\n", "b\nc\n", False),
    ],
)
def test_a_page_agrees_with_what_is_printed(prints, said, agrees):
    assert pasted.agrees(prints, said) is agrees


def run(folder, page, *arguments):
    (folder / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
    (folder / ".venv" / "bin" / "python").unlink(missing_ok=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (folder / "page.md").write_text(page)
    command = [sys.executable, pasted.__file__, "page.md", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_page_is_run_and_held_to_what_it_shows(tmp_path):
    assert run(tmp_path, PAGE).returncode == 0
    wrong = run(tmp_path, PAGE.replace("```text\n2", "```text\n3"))
    assert wrong.returncode == 1
    assert "page.md, line 14: it does not print what the page shows:" in wrong.stderr
    failed = run(tmp_path, PAGE.replace("echo one", "false | cat"))
    assert (failed.returncode, failed.stderr) == (1, "page.md, line 4: exit status 1\n")


def test_a_part_of_a_page_is_run(tmp_path):
    assert "echo one" not in run(tmp_path, PAGE, "--only", "Second").stdout
    assert "print" not in run(tmp_path, PAGE, "--except", "Second").stdout
    assert "has no commands below 'Third'" in run(tmp_path, PAGE, "--only", "Third").stderr

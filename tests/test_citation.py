"""The citation names this version and the paper, wherever it stands."""

import pytest
import yaml
from processes import ROOT

import tfcollapse

if not (ROOT / "CITATION.cff").is_file():
    pytest.skip("the citation is not installed with the package", allow_module_level=True)


def test_the_citation_file_names_this_version_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert citation["version"] == tfcollapse.__version__
    paper = citation["preferred-citation"]
    assert paper["url"] == "https://proceedings.mlr.press/v119/dai20c.html"
    assert [author["family-names"] for author in paper["authors"]] == ["Dai", "Wang", "Wipf"]


def test_the_readme_s_bibtex_is_the_citation_file_s():
    readme = (ROOT / "README.md").read_text()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert f"version = {{{tfcollapse.__version__}}}" in readme
    assert f"title = {{{citation['title']}}}" in readme
    paper = citation["preferred-citation"]
    assert f"pages = {{{paper['start']}--{paper['end']}}}, year = {{{paper['year']}}}" in readme

"""`tfcollapse diagnose` on a sweep's directory, and its HTML page."""

import dataclasses
import json
import re
import shutil

import pytest

import tfcollapse as tc
from tfcollapse.cli.main import main


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A VAE under two names, an AE and a VAE that have just begun, where a sweep has them; without XLA, for speed."""
    out = tmp_path_factory.mktemp("study") / "sweep"
    run = tc.Run(
        data=tc.Data(name="fashion_mnist_mini", train=300, test=50),
        network=tc.Network(depth=1, width=16, latent_dim=4),
        training=tc.Training(steps=40, log_every=10, evaluate_every=20, checkpoint_every=20, jit="off"),
        objective=tc.Objective(gamma="fixed", gamma_start=0.05),
    )
    name = tc.train(run, out / "runs")["run_id"]
    shutil.copytree(out / "runs" / name, out / "runs" / f"{name}-again")
    for begun, objective in (("ae", tc.Objective(kind="ae")), ("vae", run.objective)):
        (out / "runs" / begun).mkdir()
        (out / "runs" / begun / "config.json").write_text(dataclasses.replace(run, objective=objective).to_json())
    return out, (name, f"{name}-again")


def test_every_vae_of_a_sweep_is_diagnosed_and_the_rest_is_named(sweep, tmp_path, capsys):
    out, names = sweep
    page = tmp_path / "page.html"
    assert main(["diagnose", str(out), "--images", "100", "--html", str(page)]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("4 runs to read, and every VAE among them to diagnose: some seconds each")
    assert first.endswith(f"; written to {out}")
    said = dict(re.findall(r"^\[\d/4\] (.+?): (.+)$", "\n".join(lines), re.MULTILINE))
    assert set(said) == {*names, "ae", "vae"}
    assert said["ae"].startswith("skipped: expected a VAE, received an AE")
    assert said["vae"].startswith("skipped: expected a finished run")
    for name in names:
        kept = json.loads((out / "runs" / name / "diagnosis.json").read_text())
        assert said[name] == kept["verdict"]["headline"]
        assert kept["measurements"]["images"] == 100
        assert "shown" not in kept["measurements"]
    text = page.read_text()
    for name in names:
        assert f'<h2 id="{name}">{name}</h2>' in text
    assert "<code>vae</code> was skipped" in text
    assert text.count("<svg") == 2
    assert set(re.findall(r'(?:href|src)="([^#"]{5})', text)) == {"data:"}  # pictures are in the page itself


def test_one_vae_has_a_page_of_its_own(sweep, tmp_path, capsys):
    out, (name, _) = sweep
    page = tmp_path / "deep" / "page.html"
    assert main(["diagnose", str(out / "runs" / name), "--json", "--html", str(page)]) == 0
    verdict = json.loads(capsys.readouterr().out)["verdict"]
    text = page.read_text()
    assert f"<h1>Diagnosis of {name}</h1>\n<p><strong>{verdict['headline']}</strong></p>\n<p>Next: " in text
    assert text.index("Next: ") < text.index("evidence") < text.index("<svg") < text.index(">measured<")


def test_a_directory_above_sweeps_is_told_where_the_runs_are(sweep, capsys):
    out, names = sweep
    assert main(["diagnose", str(out.parent)]) == 2
    error = capsys.readouterr().err
    assert "is not a run's directory, nor a sweep's: run directories below it are" in error
    assert str(out / "runs" / "ae") in error
    assert error.rstrip().endswith("and 1 more")


def test_a_sweep_without_a_trained_vae_is_one_line(sweep, tmp_path, capsys):
    out, _ = sweep
    shutil.copytree(out / "runs" / "ae", tmp_path / "runs" / "ae")
    assert main(["diagnose", str(tmp_path)]) == 2
    assert "expected a VAE that has been trained to the end" in capsys.readouterr().err

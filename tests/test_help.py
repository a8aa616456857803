"""What the command line says of itself: the list of commands, the help of each, and examples that can be pasted."""

import itertools
import re
import shlex
import shutil

import pytest
from processes import ROOT

from tfcollapse.cli.arguments import DEEPEST_VAE, SHALLOW_VAE
from tfcollapse.cli.main import GROUPS, main, name_of, parser
from tfcollapse.cli.sweep import DESCRIPTION as OF_SWEEPS
from tfcollapse.studies.study import load_study, study_names

COMMANDS = {name_of(command): command for command in itertools.chain(*GROUPS.values())}
EXAMPLES = [line for command in COMMANDS.values() for _, line in command.EXAMPLES]


def help_of(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


def test_without_a_command_every_command_is_listed_once_in_its_group(capsys):
    assert main([]) == 0
    said = capsys.readouterr().out
    assert said == help_of([], capsys)
    for group, commands in GROUPS.items():
        listed = said.partition(f"\n{group}:\n")[2].partition("\n\n")[0].splitlines()
        assert [line.split()[0] for line in listed] == [name_of(command) for command in commands]
    files = {path.stem for path in (ROOT / "tfcollapse" / "cli").glob("*.py") if "\ndef run(" in path.read_text()}
    assert set(COMMANDS) == files
    assert all(len(line) <= 80 for line in said.splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_its_default_is_explained(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")
    said = help_of([name], capsys)
    assert COMMANDS[name].DESCRIPTION in said
    assert all(len(line) <= 80 for line in COMMANDS[name].DESCRIPTION.splitlines())
    (commands,) = (action for action in parser()._actions if action.choices)
    for action in commands.choices[name]._actions:
        assert action.help
        if action.option_strings and action.default not in (None, False, "", [], "==SUPPRESS=="):
            shown = f"{action.default:g}" if isinstance(action.default, float) else action.default
            assert f"(default: {shown}" in action.help, action.option_strings
    assert len(COMMANDS[name].EXAMPLES) >= 1


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_read_by_the_command_that_it_explains(example):
    program, *words = shlex.split(example)
    assert program == "tfcollapse"
    assert parser().parse_args(words).parser.prog == f"tfcollapse {words[0]}"


def test_the_run_directories_of_the_examples_are_those_of_the_main_job():
    of_main_job = {f"out/fig1_left-quick/runs/{run.run_id}" for run in load_study("fig1_left").runs("quick")}
    named = set(re.findall(r"out/fig1_left-quick/runs/[^/ ]+", " ".join(EXAMPLES)))
    assert named == {DEEPEST_VAE, SHALLOW_VAE}
    assert named <= of_main_job


def test_an_example_begins_as_the_program_was_called(tmp_path, monkeypatch, capsys):
    program = tmp_path / "my bin" / "tfcollapse"
    program.parent.mkdir()
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.argv", ["my bin/tfcollapse", "data", "--help"])
    assert "\n  'my bin/tfcollapse' data list\n" in help_of(["data"], capsys)
    monkeypatch.setenv("PATH", str(program.parent))
    assert "\n  tfcollapse data list\n" in help_of(["data"], capsys)


def test_the_help_of_sweep_names_every_study():
    listed = OF_SWEEPS.partition("beyond it:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == study_names()


AT_ONCE = re.compile(r"tfcollapse (describe|data|figure|report|overview|theory equations)\b|.* --list$")


@pytest.mark.parametrize("example", filter(AT_ONCE.match, EXAMPLES))
def test_an_example_that_trains_nothing_runs_as_it_stands(example, tmp_path, monkeypatch, capsys):
    # A sweep of the same study stands in the place of the main job, which takes minutes.
    shutil.copytree(ROOT / "results" / "paper", tmp_path / "out" / "fig1_left-quick")
    shutil.copytree(ROOT / "results", tmp_path / "results")
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(example)[1:]) == 0
    said = capsys.readouterr()
    assert said.out
    assert said.err == ""

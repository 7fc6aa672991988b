import argparse
import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from operators.base import DataError, RecipeError, RunError
from pipeline import commands, terminal
from pipeline.cli import main, parser

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """\
name: small
inputs:
  - {name: docs, path: docs.jsonl}
steps:
  - kind: exact_dedup
  - {kind: train_tokenizer, name: tok, pretokenizer: gpt2, vocab_sizes: [260]}
outputs:
  path: out
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "docs.jsonl").write_text('{"text": "one two one two"}\n{"text": "three"}\n{"text": "three"}\n')
    return tmp_path


def vocabmill(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def subcommands() -> dict[str, argparse.ArgumentParser]:
    (found,) = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found.choices)


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "run a recipe; resumes by itself" in said.err


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("vocabmill ")


def test_every_command_has_a_function_and_every_option_a_help_text() -> None:
    for name, command in subcommands().items():
        assert callable(getattr(commands, name.replace("-", "_")))
        for action in command._actions:
            assert action.help, f"{name} {action.dest}"


def test_help_answers_without_importing_the_engine(tmp_path: Path) -> None:
    code = (
        "import sys; from pipeline.cli import parser; parser().format_help(); "
        "print(sorted({'pyarrow', 'pydantic', 'operators', 'numpy', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("arguments", [["run"], ["sing"], ["run", "r.yaml", "--workers", "0"], ["plan", "r", "--nope"]])
def test_a_wrong_command_line_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: vocabmill" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["report", "status"])
def test_an_unknown_option_is_told_by_the_command_that_was_given_it(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "k.yaml", "--out", "X"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"usage: vocabmill {command} " in said
    assert "unrecognized arguments: --out X; give the output directory itself, in place of RECIPE_OR_DIR" in said


def test_an_unknown_option_of_a_command_with_out_has_no_advice_on_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "k.yaml", "--nope"])
    said = capsys.readouterr().err
    assert "usage: vocabmill check " in said
    assert said.rstrip().endswith("unrecognized arguments: --nope")


def test_one_document_is_one_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "docs.jsonl").write_text('{"text": "one two one two"}\n')
    assert main(["run", "r.yaml", "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert "1 document read: 1 kept" in said.out
    assert ": 1 task in " in said.err
    assert "1 tasks" not in said.err
    assert main(["status", "out"]) == 0
    assert ": 1 document read, 1 kept" in capsys.readouterr().out


def test_a_run_its_status_its_plan_and_its_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "r.yaml", "--workers", "1", "--json"]) == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert (result["status"], said.err) == ("done", "")
    assert {"status", "out", "report", "steps", "artifacts", "seconds", "peak_rss_mb"} <= set(result)
    assert "artifacts/tok/tokenizer.json" in result["artifacts"]["tok"]
    for place in ("r.yaml", "out"):
        assert main(["status", place, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["state"] == "done"
    assert main(["plan", "r.yaml"]) == 0
    assert "is published" in capsys.readouterr().out
    assert main(["report", "out"]) == 0
    assert (folder / "out" / "report.html").samefile(capsys.readouterr().out.strip())


def test_a_run_tells_people_what_came_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "r.yaml", "--workers", "1", "--out", "elsewhere", "--work-dir", "w"]) == 0
    said = capsys.readouterr()
    assert "3 documents read: 2 kept, 1 dropped, 0 quarantined" in said.out
    assert "report: elsewhere/report.html" in said.out
    assert "ingest docs" in said.err
    assert not (folder / "out").exists()


def test_until_stops_after_a_step_and_publishes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "r.yaml", "--workers", "1", "--until", "exact_dedup"]) == 0
    assert "stopped after 'exact_dedup'" in capsys.readouterr().out
    assert not (folder / "out" / "manifest.json").exists()
    assert main(["status", "out"]) == 0
    assert "stopped" in capsys.readouterr().out


def test_the_operators_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operators"]) == 0
    assert "exact_dedup" in capsys.readouterr().out
    assert main(["operators", "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("| kind |")
    assert main(["operators", "sample"]) == 0
    assert "fraction: number" in capsys.readouterr().out
    assert main(["operators", "sampel"]) == 2
    assert "did you mean 'sample'" in capsys.readouterr().err


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def command(options: argparse.Namespace) -> int:
        del options
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RecipeError("wrong recipe"), 2, "wrong recipe"),
        (DataError("wrong data"), 2, "wrong data"),
        (RunError("a gate"), 1, "a gate"),
        (OSError(errno.ENOSPC, "No space left", "/x/y"), 1, "the disk is full (/x/y)"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 1, "no permission (/x/y)"),
        (OSError(errno.EIO, "Input/output error", "/x/y"), 1, "Input/output error (/x/y)"),
        (MemoryError(), 1, "fewer --workers"),
        (ZeroDivisionError("division by zero"), 1, "unexpected ZeroDivisionError: division by zero"),
        (KeyboardInterrupt(), 130, "run the same command to go on"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_is_one_message_and_its_status(
    error: BaseException, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "operators", raising(error))
    assert main(["operators"]) == status
    output = capsys.readouterr()
    assert said in output.err
    assert "Traceback" not in output.err
    assert output.out == ""
    if status != 130:
        assert main(["operators", "--debug"]) == status
        assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m pipeline operators gopher_repetition | head -n 1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "gopher_repetition (judge)\n"
    assert done.stderr == ""


def test_an_interrupt_ends_with_130(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.session.run_recipe", raising(KeyboardInterrupt()))
    monkeypatch.setattr(commands, "run", raising(KeyboardInterrupt()))
    assert main(["run", "r.yaml"]) == 130


def test_a_check_as_a_program_is_quick(folder: Path) -> None:
    vocabmill("check", "r.yaml", cwd=folder)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = vocabmill("check", "r.yaml", cwd=folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "ok", "")
    # Processor time: what a person waits for on an idle machine, whatever else runs on this one.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


def start(shell: str, cwd: Path) -> subprocess.Popen[str]:
    """A shell command as a process group of its own; `MILL` in it is the program."""
    command = shell.replace("MILL", f"{sys.executable} -m pipeline")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, shell=True, cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


@pytest.mark.parametrize(
    "shell",
    [
        "MILL run r.yaml --workers 1 2>&1 | head -n 1; exit ${PIPESTATUS[0]}",
        "MILL run r.yaml --workers 1 | true; exit ${PIPESTATUS[0]}",
        "MILL run r.yaml --workers 1 >&- 2>&-",
        "MILL run r.yaml --workers 2 2>&-",
        "MILL operators | true; exit ${PIPESTATUS[0]}",
        "MILL --help | true; exit ${PIPESTATUS[0]}",
        "MILL --version >&-",
    ],
)
def test_work_that_is_done_ends_with_0_whether_or_not_anybody_reads_what_is_printed(folder: Path, shell: str) -> None:
    bash = subprocess.list2cmdline(["bash", "-c", shell.replace("$", "\\$")])
    process = start(bash, folder)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0
    assert "Error" not in said
    assert "Exception" not in said
    assert (folder / "out" / "manifest.json").exists() == (" run " in shell)


def test_a_full_disk_under_the_output_is_an_error(folder: Path) -> None:
    process = start("MILL operators > /dev/full", folder)
    assert "the disk is full" in process.communicate(timeout=120)[1]
    assert process.returncode == 1


SLEEPER = """\
import os, sys, time
import pipeline.session
from operators.base import Resources
from pipeline.cli import main

def work(recipe, executor, **options):
    list(executor.map(abs, [1, 2], Resources(), "warm"))
    print("ready", flush=True)
    list(executor.map(time.sleep, [60, 60], Resources(), "sleep"))

pipeline.session.run_recipe = work
if __name__ == "__main__":
    sys.exit(main(["run", "r.yaml", "--workers", "2"]))
"""


@pytest.mark.parametrize(
    ("number", "word", "to_group"),
    [
        (signal.SIGTERM, "terminated", True),
        pytest.param(signal.SIGTERM, "terminated", False, marks=pytest.mark.slow),
        (signal.SIGHUP, "hung up", False),
        pytest.param(signal.SIGHUP, "hung up", True, marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_end_stops_the_workers_and_says_so_in_one_line(
    folder: Path, number: signal.Signals, word: str, to_group: bool
) -> None:
    (folder / "sleeper.py").write_text(SLEEPER)
    process = start(f"exec {sys.executable} sleeper.py", folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    workers = psutil.Process(process.pid).children(recursive=True)
    (os.killpg if to_group else os.kill)(process.pid, number)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + number
    assert said == f"{word}; finished work is kept, run the same command to go on\n"
    assert workers
    assert not psutil.wait_procs(workers, timeout=120)[1]


@pytest.mark.ray
def test_a_run_on_ray_ends_on_a_signal_as_another_does(folder: Path) -> None:
    (folder / "sleeper.py").write_text(SLEEPER.replace('"2"])', '"2", "--executor", "ray"])'))
    process = start(f"exec {sys.executable} sleeper.py", folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    started = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGTERM)
    assert "terminated; finished work is kept" in process.communicate(timeout=120)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert started
    assert not psutil.wait_procs(started, timeout=120)[1]


def test_a_hangup_that_is_ignored_stays_ignored(folder: Path) -> None:
    (folder / "sleeper.py").write_text(SLEEPER.replace("60, 60", "0.5, 0.5"))
    process = start(f"trap '' HUP; exec {sys.executable} sleeper.py", folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGHUP)
    said = process.communicate(timeout=120)[1]
    assert "hung up" not in said
    assert process.returncode == 1  # The stand-in for a run has no summary.


def test_messages_go_to_standard_error_and_results_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say("a message")
    terminal.tell("a result")
    assert capsys.readouterr() == ("a result\n", "a message\n")

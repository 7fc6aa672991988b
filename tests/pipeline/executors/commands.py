"""The command line as its own process, with everything that it started, for tests that kill and interrupt it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.pipeline.engine import flawed_texts

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def write_inputs(home: Path, files: int = 8) -> None:
    """Some forty flawed texts, dealt to files; every file becomes a shard of its own."""
    (home / "in").mkdir(parents=True, exist_ok=True)
    texts = flawed_texts()
    for number in range(files):
        lines = (json.dumps({"text": text}) + "\n" for text in texts[number::files])
        (home / "in" / f"part{number}.jsonl").write_text("".join(lines), encoding="utf-8")


def write_recipe(home: Path, *steps: str) -> Path:
    """A recipe over those inputs; each step is a line of YAML."""
    lines = "".join(f"  - {step}\n" for step in steps)
    path = home / "recipe.yaml"
    path.write_text(
        f"name: test\nseed: 7\ninputs:\n  - name: docs\n    path: {home}/in/*.jsonl\n"
        f"steps:\n{lines}outputs:\n  path: {home}/out\n  shard_mb: 0.004\n",
        encoding="utf-8",
    )
    return path


def command(home: Path, name: str, *options: str) -> list[str]:
    """`vocabmill run` of the recipe, with an output and a work directory of its own."""
    places = ["--out", str(home / f"out-{name}"), "--work-dir", str(home / f"work-{name}")]
    return [sys.executable, "-m", "pipeline", "run", str(home / "recipe.yaml"), *places, *options]


def start(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a terminal starts it."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    return subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def run(arguments: Sequence[str], seconds: float = 100) -> subprocess.CompletedProcess[str]:
    """The command to its end; nothing of it outlives a test that fails."""
    process = start(arguments)
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        stop(process)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Every process that it started and that still lives."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that still run."""
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that a test started, and its children."""
    children = family(process)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()
    for child in children:
        if child.is_running():
            child.kill()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()

"""The command line: a library function under every command, errors in one message, exit statuses people can script.

0 done; 1 the run failed, a gate refused, a lock is held, a disk is full; 2 the recipe, the command, an input or a model
is wrong; 130 interrupted. A traceback only with --debug.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from typing import TYPE_CHECKING

from operators.base import RecipeError, RunError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        _say("interrupted; finished work is kept, run the same command to go on")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (RecipeError, RunError, OSError, MemoryError) as error:
        if options.debug:
            raise
        _say(f"vocabmill: {_message(error)}")
        return 2 if isinstance(error, RecipeError) else 1


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{_place(error)}; nothing half written is left: make room and run the same command to go on"
    if isinstance(error, PermissionError):
        return f"no permission{_place(error)}; choose another --out or --work-dir, or change the permissions"
    if isinstance(error, MemoryError):
        return "out of memory; use fewer --workers or a smaller outputs.shard_mb, then run again: finished work is kept"
    return str(error)


def _place(error: OSError) -> str:
    return f" ({error.filename})" if error.filename else ""


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    from pipeline import commands

    top = argparse.ArgumentParser(prog="vocabmill", description="From raw text to tokenizers: one recipe, one program.")
    top.add_argument("--version", action="version", version=f"vocabmill {commands.own_version()}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show a traceback for every error")
    recipe = argparse.ArgumentParser(add_help=False)
    recipe.add_argument("recipe", metavar="RECIPE", help="the YAML file")
    recipe.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="steps.<name>.<field>=value; may be repeated"
    )
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--work-dir", default="", metavar="DIR", help="unpublished results (default: .vocabmill beside the output)"
    )
    where.add_argument("--out", default="", metavar="DIR", help="instead of the recipe's outputs.path")
    execute = argparse.ArgumentParser(add_help=False)
    execute.add_argument("--executor", choices=("local", "ray"), default="local")
    execute.add_argument(
        "--address", default="", help="a running Ray cluster to join (ray executor); else one is started here"
    )
    execute.add_argument(
        "--workers", type=_positive, default=0, metavar="N", help="tasks at a time (default: all cores)"
    )
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="one JSON object on standard output, nothing else there")
    sub = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, what: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        command = sub.add_parser(name, help=what, description=what, parents=[*parents, common])
        command.set_defaults(command=getattr(commands, name.replace("-", "_")))
        return command

    run = add("run", "run a recipe; resumes by itself", recipe, where, execute, as_json)
    run.add_argument("--until", default="", metavar="STEP", help="stop after this step and publish nothing")
    add("check", "validate recipe, columns, inputs and models; read no data", recipe)
    add("plan", "the stages as text: what will run, what is already done", recipe, where)
    dry = add("dry-run", "run the real plan on a stratified sample; project the whole run", recipe, execute, as_json)
    dry.add_argument("--docs", type=_positive, default=2000, metavar="N", help="documents in the sample (default 2000)")
    status = add("status", "how a run is going, or what it left", as_json)
    status.add_argument("where", metavar="RECIPE_OR_DIR", help="a recipe, or an output directory")
    report = add("report", "write the HTML report of a finished run again, and say where it is")
    report.add_argument("where", metavar="RECIPE_OR_DIR", help="a recipe, or an output directory")
    operators = add("operators", "what exists: parameters, columns, references")
    operators.add_argument("kind", nargs="?", default="", metavar="KIND", help="one operator in full")
    operators.add_argument("--markdown", action="store_true", help="the table as the README has it")
    return top


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return number


if __name__ == "__main__":
    sys.exit(main())

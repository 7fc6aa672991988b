"""The command line: a library function under every command, errors in one message, exit statuses people can script.

0 done; 1 the run failed, a gate refused, a lock is held, a disk is full; 2 the recipe, the command, an input or a model
is wrong; 129 hung up, 130 interrupted, 143 terminated: each a clean stop. A traceback only with --debug. Nothing heavy
is imported before the arguments are right, so `--help` answers in a tenth of a second.
"""

from __future__ import annotations

import argparse
import errno
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

from pipeline.terminal import drain, open_closed, say, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

_EPILOG = """\
A first run:  vocabmill check recipes/quickstart.yaml && vocabmill run recipes/quickstart.yaml
Exit status:  0 done; 1 the run failed, a gate refused, a lock is held or a disk is full;
              2 the recipe, the command, an input or a model is wrong;
              129 hung up, 130 interrupted, 143 terminated: run the same command to go on.
"""
_ENDINGS: Final = {signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
_SET = "change a value of the recipe: steps.NAME.FIELD=VALUE, seed=7, outputs.shard_mb=16; may be repeated"


class Ended(KeyboardInterrupt):
    """The process was asked to end, as by `kill`, `docker stop` or a lost connection: it stops as for Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(_ENDINGS[signal.Signals(number)])
        self.status = 128 + number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    open_closed()
    try:
        top = parser()
        options, unknown = top.parse_known_args(arguments)
        if unknown:
            _refuse(options.parser or top, unknown)
        if options.command is None:
            top.print_help(sys.stderr)
            return 2
        return _run(options)
    finally:
        drain()


def _refuse(command: argparse.ArgumentParser, unknown: Sequence[str]) -> NoReturn:
    """End with the usage of the command that was given what it does not know."""
    named = {option.partition("=")[0] for option in unknown}
    takes_place = any(action.dest == "place" for action in command._actions)
    advice = "; give the output directory itself, in place of RECIPE_OR_DIR" if takes_place and "--out" in named else ""
    command.error(f"unrecognized arguments: {' '.join(unknown)}{advice}")


def _run(options: argparse.Namespace) -> int:
    ended: list[Ended] = []
    try:
        with _ending(ended):
            return _command(options.command)(options)
    except KeyboardInterrupt:
        what, status = (str(ended[0]), ended[0].status) if ended else ("interrupted", 130)
        say(f"{what}; finished work is kept, run the same command to go on")
        return status
    except Exception as error:  # The one place where any error becomes a message and an exit status.
        if options.debug:
            import traceback

            say(traceback.format_exc().rstrip())
        return _fail(error)


@contextmanager
def _ending(ended: list[Ended]) -> Iterator[None]:
    """Turn the signals that ask a process to end into `Ended`. One that is ignored, as under `nohup`, stays so.

    What was raised is put into the list: Ray waits in C++, and makes a plain interrupt of it there.
    """
    is_main = threading.current_thread() is threading.main_thread()
    mine = [number for number in _ENDINGS if is_main and signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        for each in mine:  # A second one must not cut the clean stop short.
            signal.signal(each, signal.SIG_IGN)
        ended.append(Ended(number))
        raise ended[-1]

    for number in mine:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    from pipeline import commands

    function: Callable[[argparse.Namespace], int] = getattr(commands, name.replace("-", "_"))
    return function


def _fail(error: Exception) -> int:
    from operators.base import RecipeError

    say(f"vocabmill: {_message(error)}")
    return 2 if isinstance(error, RecipeError) else 1


def _message(error: Exception) -> str:
    from operators.base import RecipeError, RunError

    if isinstance(error, RecipeError | RunError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory; use fewer --workers or a smaller outputs.shard_mb, then run again: finished work is kept"
    if not isinstance(error, OSError):
        return f"unexpected {type(error).__name__}: {error}; this is a fault of vocabmill: see --debug"
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{place}; nothing half written is left: make room and run the same command to go on"
    if isinstance(error, PermissionError):
        return f"no permission{place}; choose another --out or --work-dir, or change the permissions"
    return f"{error.strerror or error}{place}"


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("vocabmill")
        except PackageNotFoundError:
            found = "(not installed)"
        tell(f"vocabmill {found}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="vocabmill",
        description="From raw text to clean corpora and tokenizers: one recipe, one program.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    top.set_defaults(command=None, parser=None, debug=False)
    sub = top.add_subparsers(metavar="COMMAND", title="commands")
    shared = _shared()

    def add(name: str, what: str, *parents: str) -> argparse.ArgumentParser:
        command = sub.add_parser(
            name, help=what, description=what, parents=[*(shared[parent] for parent in parents), shared["debug"]]
        )
        command.set_defaults(command=name, parser=command)
        return command

    run = add("run", "run a recipe; resumes by itself", "recipe", "where", "execute", "json")
    run.add_argument("--until", default="", metavar="STEP", help="stop after this step and publish nothing")
    add("check", "validate recipe, columns, inputs and models; read no data", "recipe", "where")
    add("plan", "the stages as text: what will run, what is already done", "recipe", "where")
    dry = add("dry-run", "run the real plan on a sample; project the whole run", "recipe", "execute", "json")
    dry.add_argument("--docs", type=_positive, default=2000, metavar="N", help="documents in the sample (default 2000)")
    _infer(add("infer", "what a tokenizer was trained on, over categories of texts", "execute", "json"))
    _search(add("search", "the documents whose vectors are nearest to a text or a document", "json"))
    add("status", "how a run is going, or what it left", "place", "json")
    add("report", "write the HTML report of a finished run again, and say where it is", "place")
    operators = add("operators", "what exists: parameters, columns, references")
    operators.add_argument("kind", nargs="?", default="", metavar="KIND", help="one operator in full")
    operators.add_argument("--markdown", action="store_true", help="the table as the README has it")
    return top


def _infer(infer: argparse.ArgumentParser) -> None:
    """The options of `infer`."""
    infer.add_argument(
        "tokenizer",
        metavar="TOKENIZER",
        help="a tokenizer.json, a SentencePiece model of BPE, or ranks (tiktoken) or a merges.txt with --pretokenizer",
    )
    infer.add_argument(
        "--data", action="append", required=True, metavar="PATH",
        help="texts of the categories: what a recipe's input may name, or a run's output directory; NAME=PATH names "
        "it (letters, digits, '_', '.', '-'), and may be repeated",
    )  # fmt: skip
    infer.add_argument(
        "--by", default="", metavar="COLUMN", help="column of the categories (default: source, the input)"
    )
    infer.add_argument("--text", default="", metavar="COLUMN", help="column of the text (default: text)")
    infer.add_argument("--merges", type=_positive, default=30_000, metavar="N", help="merges to ask (default 30000)")
    infer.add_argument(
        "--skip",
        type=int,
        default=0,
        metavar="N",
        help="merges applied and not asked, of a tokenizer that this one extends (0 or more; default 0)",
    )
    infer.add_argument(
        "--tolerance-ppm",
        type=float,
        default=1.0,
        metavar="X",
        help="solve until no pair is too frequent by more (above 0, at most 1000; default 1)",
    )
    infer.add_argument(
        "--range", type=float, default=None, metavar="X",
        help="give each share's range over mixtures whose objective is larger by this share, as 0.01 (0 to 10; "
        "costs solves)",
    )  # fmt: skip
    infer.add_argument(
        "--bootstrap",
        type=int,
        default=0,
        metavar="N",
        help="give intervals over so many resamples of the merges (2 to 1000; default 0, none)",
    )
    infer.add_argument(
        "--pretokenizer", default="own", help="with ranks or a merges.txt: the pattern that cuts text, as cl100k"
    )
    infer.add_argument(
        "--out", default="", metavar="DIR", help="keep the run there, with its report (default: keep nothing)"
    )
    infer.add_argument(
        "--work-dir", default="", metavar="DIR", help="reusable results (default: .vocabmill beside --out)"
    )


def _search(search: argparse.ArgumentParser) -> None:
    """The options of `search`."""
    search.add_argument(
        "place", metavar="OUT_OR_DIR", help="a run's output directory, or a directory of Parquet files of vectors"
    )
    search.add_argument("query", nargs="?", default="", metavar="TEXT", help="what to look for; or --like")
    search.add_argument("--like", default="", metavar="ID", help="look for what is near the document of that id")
    search.add_argument("--k", type=_positive, default=10, metavar="N", help="documents to show (default 10)")
    search.add_argument(
        "--step", default="", metavar="NAME", help="the step that made the vectors, where a run has several"
    )
    search.add_argument(
        "--encoder", default="", metavar="PATH", help="the model for TEXT, where it is not where model.json says"
    )
    search.add_argument(
        "--prompt", default=None, metavar="TEXT", help="put before TEXT in place of the documents' prompt, as 'query: '"
    )


def _shared() -> dict[str, argparse.ArgumentParser]:
    """Options that several commands have."""
    shared = {
        name: argparse.ArgumentParser(add_help=False)
        for name in ("debug", "recipe", "where", "execute", "json", "place")
    }
    shared["debug"].add_argument("--debug", action="store_true", help="show a traceback for every error")
    shared["recipe"].add_argument("recipe", metavar="RECIPE", help="the YAML file")
    shared["recipe"].add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=_SET)
    shared["where"].add_argument(
        "--work-dir",
        default="",
        metavar="DIR",
        help="unfinished and reusable results (default: .vocabmill beside the output)",
    )
    shared["where"].add_argument("--out", default="", metavar="DIR", help="instead of the recipe's outputs.path")
    shared["execute"].add_argument(
        "--executor", choices=("local", "ray"), default="local", help="this machine's cores (default), or Ray"
    )
    shared["execute"].add_argument(
        "--address", default="", help="with --executor ray: the cluster to join; without it one is started here"
    )
    shared["execute"].add_argument(
        "--workers", type=_positive, default=0, metavar="N", help="tasks at a time (default: all cores)"
    )
    shared["json"].add_argument(
        "--json", action="store_true", help="one JSON object on standard output, nothing else there"
    )
    shared["place"].add_argument("place", metavar="RECIPE_OR_DIR", help="a recipe, or an output directory")
    shared["place"].add_argument(
        "--work-dir",
        default="",
        metavar="DIR",
        help="where the run keeps its work (default: .vocabmill beside the output)",
    )
    return shared


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

"""What the Ray executor must know of code and nodes, without Ray: what to ship, which variables, what fits where."""

from __future__ import annotations

import importlib
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.executors.local import ONE_THREAD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from operators.base import Operator

OURS: Final = ("pipeline", "operators")
CACHES: Final = ("VOCABMILL_CACHE", "HF_HOME", "HF_HUB_CACHE")
"""Variables that say where models lie."""


def packages_of(operators: Iterable[Operator]) -> tuple[str, ...]:
    """The top-level packages to ship for these operators: not ours, and not installed as nodes have them installed.

    >>> from operators.exact_dedup import ExactDedup
    >>> packages_of([ExactDedup()])
    ()
    """
    modules = (module for step in operators for module in (type(step).__module__, *step.imports()))
    tops = dict.fromkeys(module.partition(".")[0] for module in modules)
    installed = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), sysconfig.get_path("stdlib"))
    return tuple(name for name in tops if name not in OURS and not module_path(name).startswith(installed))


def module_path(name: str) -> str:
    """The directory of a package, or the file of a module."""
    module = importlib.import_module(name)
    paths = list(getattr(module, "__path__", ()))
    return str(Path(paths[0] if paths else str(module.__file__)).resolve())


def environment() -> dict[str, str]:
    """Variables of every worker: one thread per library, and where models lie if that was said here."""
    found = {**dict.fromkeys(ONE_THREAD, "1"), "TOKENIZERS_PARALLELISM": "false"}
    return found | {name: os.environ[name] for name in CACHES if name in os.environ}


def fits(node: Mapping[str, Any], wanted: Mapping[str, float]) -> int:
    """How many such tasks a node has room for when it is empty.

    >>> fits({"Resources": {"CPU": 4.0, "memory": 3e9}}, {"CPU": 1, "memory": 1e9})
    3
    >>> fits({"Resources": {"CPU": 4.0}}, {"CPU": 1, "GPU": 1})
    0
    """
    return min((int(node["Resources"].get(name, 0) / amount) for name, amount in wanted.items() if amount), default=1)


def nothing_fits(wanted: Mapping[str, float], nodes: Sequence[Mapping[str, Any]]) -> str:
    """The message where no node can ever run a task."""
    have = [
        f"{node['NodeManagerAddress']} has {_amounts({name: node['Resources'].get(name, 0) for name in wanted})}"
        for node in nodes
    ]
    return (
        f"a task asks for {_amounts(wanted)}, and no node of the cluster has that: {'; '.join(have) or 'none is up'}; "
        "add such a node, or change the step"
    )


def _amounts(resources: Mapping[str, float]) -> str:
    """What a person reads.

    >>> _amounts({"CPU": 2.0, "memory": 5e8})
    '2 CPU, 500 MB memory'
    """
    return ", ".join(
        f"{amount / 1e6:.0f} MB memory" if name == "memory" else f"{amount:g} {name}"
        for name, amount in resources.items()
    )

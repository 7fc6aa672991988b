"""The tree keeps its shape: imports go one way, packages are ours alone, the list of operators lacks none."""

import ast
import importlib
import inspect
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import get_args

import pytest

import operators
import operators.base
import pipeline

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("operators", "pipeline")
MAY_IMPORT = {
    "operators": {"operators"},
    "pipeline": {"operators", "pipeline"},
    "recipes": {"operators", "pipeline", "recipes"},
}
OURS = {"operators", "pipeline", "recipes", "tests", "benchmarks", "infra"}
RAY_FILES = {"pipeline/executors/ray.py", "pipeline/submit.py"}
SLOW_TO_IMPORT = {"ray", "numba", "datasets", "tokenizers", "fasttext", "torch"}
MAX_FILE_BYTES = 500_000
FUNCTION_LINES_REFUSED = 60


def sources(*roots: str) -> Iterator[Path]:
    return (path for root in roots for path in sorted((ROOT / root).rglob("*.py")))


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, at any depth; `from a import b` gives `a` and `a.b`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the whole name"
            names.add(str(node.module))
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def top_levels(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


@pytest.mark.parametrize("root", MAY_IMPORT)
def test_imports_go_from_recipes_to_pipeline_to_operators(root: str) -> None:
    wrong = {str(path.relative_to(ROOT)): top_levels(path) & OURS - MAY_IMPORT[root] for path in sources(root)}
    assert not {path: names for path, names in wrong.items() if names}


def test_only_the_ray_executor_and_submit_import_ray() -> None:
    importing = {path.relative_to(ROOT).as_posix() for path in sources(*PACKAGES) if "ray" in top_levels(path)}
    assert importing <= RAY_FILES


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import operators.base", SLOW_TO_IMPORT | {"regex", "xxhash"}),
        ("import pipeline.cli", SLOW_TO_IMPORT),
        (
            "from pathlib import Path; from pipeline.recipe import load_recipe\n"
            "assert [load_recipe(str(path)) for path in Path('recipes').glob('*.yaml')]",
            SLOW_TO_IMPORT,
        ),
    ],
    ids=["operators", "command line", "every recipe"],
)
def test_reading_imports_nothing_slow(code: str, forbidden: set[str]) -> None:
    report = f"{code}\nimport sys; print(*sorted({forbidden!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.split()) == (0, []), result.stderr


@pytest.mark.parametrize("name", PACKAGES)
def test_no_stranger_owns_our_import_names(name: str) -> None:
    assert set(packages_distributions()[name]) == {"vocabmill"}


def test_the_code_under_test_is_this_checkout() -> None:
    assert [Path(str(module.__file__)).parent.parent for module in (operators, pipeline)] == [ROOT, ROOT]


def test_no_folder_of_tests_is_a_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
    assert "tests" not in packages_distributions()


def test_every_folder_of_code_is_a_package() -> None:
    assert not {str(path.parent) for path in sources(*PACKAGES) if not (path.parent / "__init__.py").exists()}


def test_init_files_are_empty_but_the_list_of_operators() -> None:
    filled = {
        path.relative_to(ROOT).as_posix()
        for path in sources(*PACKAGES)
        if path.name == "__init__.py" and path.stat().st_size
    }
    assert filled <= {"operators/__init__.py"}


def steps_in(path: Path) -> set[type]:
    """The operators with a kind that a file defines: what a recipe may name."""
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    classes = {cls for _, cls in inspect.getmembers(module, inspect.isclass) if cls.__module__ == module.__name__}
    return {cls for cls in classes if issubclass(cls, operators.base.Operator) and "kind" in cls.model_fields}


def test_the_list_of_operators_holds_every_operator_once() -> None:
    defined = {step for path in sources("operators") for step in steps_in(path)}
    assert Counter(operators.OPERATORS) == Counter(defined)
    assert set(get_args(get_args(operators.AnyOperator)[0])) == defined


def test_no_two_operators_share_a_kind() -> None:
    kinds = Counter(step.model_fields["kind"].default for step in operators.OPERATORS)
    assert [kind for kind, count in kinds.items() if count > 1] == []


def test_a_file_without_an_operator_helps_one() -> None:
    used = {name for path in sources(*PACKAGES) for name in imported(path)}
    exempt = ("__init__.py", "_reference.py")  # only tests import a kernel's slow reference
    helpers = [path for path in sources("operators") if not path.name.endswith(exempt) and not steps_in(path)]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in helpers}
    assert names <= used


def test_no_tracked_file_is_large() -> None:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    assert paths
    assert not {
        str(path): path.stat().st_size for path in paths if path.is_file() and path.stat().st_size > MAX_FILE_BYTES
    }


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in sources("operators", "pipeline", "benchmarks", "tests")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: lines for name, lines in lengths.items() if lines >= FUNCTION_LINES_REFUSED}

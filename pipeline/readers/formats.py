"""Which format a file has, told from its name; and which language a code file is written in."""

from __future__ import annotations

import posixpath
from typing import Final

from operators.base import RecipeError
from pipeline.readers.base import InputFile

FORMATS: Final = ("parquet", "arrow", "jsonl", "text", "code", "hf", "warc", "wet")

COMPRESSIONS: Final = {".gz": "gzip", ".zst": "zstd"}

SUFFIXES: Final = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".markdown": "text",
    ".rst": "text",
    ".adoc": "text",
    ".warc": "warc",
    ".wet": "wet",
}

LANGUAGES: Final = {
    ".adb": "ada", ".ads": "ada", ".asm": "assembly", ".s": "assembly", ".awk": "awk",
    ".bash": "shell", ".bat": "batch", ".bzl": "starlark", ".c": "c", ".cc": "cpp",
    ".clj": "clojure", ".cljs": "clojure", ".cmake": "cmake", ".cob": "cobol", ".coffee": "coffeescript",
    ".cpp": "cpp", ".cr": "crystal", ".cs": "csharp", ".css": "css", ".cu": "cuda",
    ".cuh": "cuda", ".cxx": "cpp", ".d": "d", ".dart": "dart", ".el": "lisp",
    ".elm": "elm", ".erl": "erlang", ".ex": "elixir", ".exs": "elixir", ".f": "fortran",
    ".f90": "fortran", ".for": "fortran", ".fs": "fsharp", ".fsx": "fsharp", ".glsl": "glsl",
    ".go": "go", ".gradle": "groovy", ".graphql": "graphql", ".groovy": "groovy", ".h": "c",
    ".hcl": "hcl", ".hh": "cpp", ".hpp": "cpp", ".hrl": "erlang", ".hs": "haskell",
    ".html": "html", ".htm": "html", ".hxx": "cpp", ".idr": "idris", ".ino": "cpp",
    ".ipynb": "jupyter", ".java": "java", ".jl": "julia", ".js": "javascript", ".jsx": "javascript",
    ".kt": "kotlin", ".kts": "kotlin", ".lean": "lean", ".less": "less", ".lisp": "lisp",
    ".lua": "lua", ".m": "objective-c", ".mjs": "javascript", ".ml": "ocaml", ".mli": "ocaml",
    ".mm": "objective-c", ".nim": "nim", ".nix": "nix", ".pas": "pascal", ".php": "php",
    ".pl": "perl", ".pm": "perl", ".proto": "protobuf", ".ps1": "powershell", ".py": "python",
    ".pyi": "python", ".pyx": "cython", ".r": "r", ".rb": "ruby", ".rkt": "racket",
    ".rs": "rust", ".sass": "sass", ".scala": "scala", ".scm": "scheme", ".scss": "scss",
    ".sh": "shell", ".sol": "solidity", ".sql": "sql", ".sv": "systemverilog", ".svelte": "svelte",
    ".swift": "swift", ".tcl": "tcl", ".tex": "tex", ".tf": "hcl", ".thy": "isabelle",
    ".toml": "toml", ".ts": "typescript", ".tsx": "typescript", ".v": "verilog", ".vb": "visual-basic",
    ".vhd": "vhdl", ".vhdl": "vhdl", ".vim": "vim", ".vue": "vue", ".wat": "webassembly",
    ".xml": "xml", ".yaml": "yaml", ".yml": "yaml", ".zig": "zig", ".zsh": "shell",
}  # fmt: skip
"""Suffix -> language. Where a suffix serves several (`.h`, `.m`, `.v`), the most common one: no content is read."""

NAMED: Final = {
    "build.bazel": "starlark",
    "cmakelists.txt": "cmake",
    "containerfile": "dockerfile",
    "dockerfile": "dockerfile",
    "gemfile": "ruby",
    "gnumakefile": "makefile",
    "jenkinsfile": "groovy",
    "makefile": "makefile",
    "rakefile": "ruby",
}


def compression(path: str) -> str:
    """The compression that a name tells: "gzip", "zstd" or "".

    >>> compression("web/a.jsonl.gz")
    'gzip'
    """
    return COMPRESSIONS.get(posixpath.splitext(path)[1].lower(), "")


def language(path: str) -> str:
    """The language of a code file by its name, "" if unknown.

    >>> language("src/Main.java"), language("Makefile"), language("notes.xyz")
    ('java', 'makefile', '')
    """
    name = _bare_name(path)
    return NAMED.get(name) or LANGUAGES.get(posixpath.splitext(name)[1], "")


def format_by_name(path: str) -> str:
    """The format that a name tells, "" if it tells none; a directory's name ends in "/" and tells `hf`.

    >>> [format_by_name(p) for p in ("a.PQ", "a.jsonl.zst", "CC-MAIN.warc.wet.gz", "a.rs", "LICENSE", "ds/train/")]
    ['parquet', 'jsonl', 'wet', 'code', '', 'hf']
    """
    if path.endswith("/"):
        return "hf"
    if language(path) and _bare_name(path) in NAMED:
        return "code"
    return SUFFIXES.get(posixpath.splitext(_bare_name(path))[1]) or ("code" if language(path) else "")


def infer_format(file: InputFile | str) -> str:
    """The format of a file, or of a path or URL (of a chained URL: of its member). Raises RecipeError if unknown."""
    url = file.url if isinstance(file, InputFile) else file
    member, _, archive = url.partition("::")
    found = format_by_name(member)
    if found:
        return found
    shown = file.path if isinstance(file, InputFile) else file
    name = _bare_name(member)
    if not archive and name.endswith((".zip", ".tar", ".tgz")):
        scheme = "zip" if name.endswith(".zip") else "tar"
        hint = f"to read an archive's members write {scheme}://**/*.txt::{shown}"
    else:
        hint = f"say its format with `format:`, one of {', '.join(FORMATS)}"
    message = f"{shown}: the name does not tell the format; {hint}"
    raise RecipeError(message)


def _bare_name(path: str) -> str:
    name = posixpath.basename(path).lower()
    stem, suffix = posixpath.splitext(name)
    return stem if suffix in COMPRESSIONS else name

"""`make bench`: every measurement behind a claim in the documentation, one after the other."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run each benchmark (or those named) in a process of its own; the first failure ends it."""
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))
    for name in names:
        print(f"## {name}", flush=True)
        status = subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Build the documentation: ``python docs/site/build.py``, with the extra ``docs``. Warnings are errors.

The pages of docs/ and those that `reference` writes are put together in build/docs-source, and the site in build/docs:
open build/docs/index.html. It is built from the installed package, needs no network, and opens from ``file://``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def build(target: Path, source: Path) -> int:
    """Build the site in the folder `target` by way of the folder `source`; both are made anew. 0 where all is well."""
    from reference import write_reference  # beside this file

    for folder in (target, source):
        shutil.rmtree(folder, ignore_errors=True)
    source.mkdir(parents=True)
    for page in sorted(HERE.parent.glob("*.md")):
        shutil.copy(page, source)
    write_reference(ROOT, source)
    kept = source / ".doctrees"  # no part of the site
    options = ["-W", "--keep-going", "-q", "-c", str(HERE), "-d", str(kept), "-b", "html"]
    return int(sphinx([*options, str(source), str(target)]))


if __name__ == "__main__":
    out = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "build" / "docs"
    code = build(out, out.with_name(out.name + "-source"))
    print(f"{out / 'index.html'}" if code == 0 else "the documentation has warnings, see above", file=sys.stderr)
    sys.exit(code)

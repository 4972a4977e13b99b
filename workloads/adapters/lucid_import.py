"""Import Lucid 2.x on Python 3.12 and 3.13.

Lucid 2.11 to 2.16 are written for Python 3.14, which evaluates annotations on access. Before 3.14 the same modules
raise NameError on import. An import hook compiles them, and no other module, with the `annotations` future flag.
"""

import __future__

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.metadata import PackageNotFoundError, version
from types import CodeType, ModuleType
from typing import Any

from epoch_gap.profiler.errors import UserError

PACKAGE, DISTRIBUTION, MAJOR = "lucid", "lucid-dl", "2"


class _LazyAnnotations(SourceFileLoader):
    # The base classes disagree on the signature of this method.
    @staticmethod
    def source_to_code(data: Any, path: Any = "<string>") -> CodeType:  # type: ignore[override]
        flag = __future__.annotations.compiler_flag
        code: CodeType = compile(data, path, "exec", flags=flag, dont_inherit=True)
        return code

    def path_stats(self, path: str) -> Any:
        raise OSError("no cached bytecode: it may have been compiled without the flag")


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _LazyAnnotations(spec.loader.name, spec.loader.path)
        return spec


def prepare() -> None:
    """Make `import lucid` work. Raises UserError if Lucid is missing or not 2.x."""
    try:
        installed = version(DISTRIBUTION)
    except PackageNotFoundError:
        raise UserError(f"{DISTRIBUTION} is not installed; run `make setup`") from None
    if installed.partition(".")[0] != MAJOR:
        raise UserError(f"{DISTRIBUTION} {installed} is not supported; install {DISTRIBUTION} 2.x")
    if sys.version_info < (3, 14) and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())

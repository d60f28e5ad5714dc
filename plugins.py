"""Plug-ins: one file each, and the file's name is the plug-in's name and the name of its one object.

Under its imports a plug-in file holds a literal `about = {...}`. It is read with `ast.literal_eval`, so listing and
checking plug-ins imports nothing. What plug-ins share lives in their package's `__init__.py`.
"""

import ast
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from errors import unknown

About = Mapping[str, Any]


class Plugins(Mapping[str, Any]):
    """The plug-ins of one package, by name: `rules["delta"]` imports the file and gives its object.

    package: dotted name, such as "training.rules". Only its parent is imported to find it. kind: what one of them is
    called in a refusal, where that is not the package's name in the singular.
    """

    def __init__(self, package: str, kind: str = "") -> None:
        self.package = package
        folder = package.rsplit(".", 1)[-1]
        self.kind = kind or (folder[:-2] if folder.endswith("ses") else folder.rstrip("s"))

    @cached_property
    def abouts(self) -> dict[str, About]:
        """name -> header of every plug-in, in alphabetical order, read without importing it."""
        spec = importlib.util.find_spec(self.package)
        assert spec is not None and spec.submodule_search_locations, f"no package {self.package}"
        files = (file for folder in spec.submodule_search_locations for file in Path(folder).glob("*.py"))
        return {file.stem: read_about(file) for file in sorted(files) if file.stem != "__init__"}

    @cached_property
    def shared(self) -> About:
        """Options that all plug-ins of this kind have: the `fields` of an `about` in the `__init__.py`, or none."""
        spec = importlib.util.find_spec(self.package)
        assert spec is not None and spec.origin, f"no package {self.package}"
        fields: About = (literal_about(Path(spec.origin)) or {}).get("fields", {})
        return fields

    def about(self, name: str) -> About:
        """The header of one plug-in. An unknown name is refused with the nearest known one."""
        if name not in self.abouts:
            raise unknown(self.kind, name, self.abouts)
        return self.abouts[name]

    def __getitem__(self, name: str) -> Any:
        self.about(name)
        return getattr(importlib.import_module(f"{self.package}.{name}"), name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.abouts)

    def __len__(self) -> int:
        return len(self.abouts)

    def __contains__(self, name: object) -> bool:
        return name in self.abouts


def read_about(file: Path) -> About:
    """The literal `about` of a plug-in file. A file without one is a mistake of its author and stops the program."""
    about = literal_about(file)
    assert about is not None, f"{file}: a plug-in file holds a literal `about = {{...}}` under its imports"
    return about


def literal_about(file: Path) -> About | None:
    """The literal `about` of a file, if it has one."""
    for node in ast.parse(file.read_text(encoding="utf-8"), filename=str(file)).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["about"]:
            value = ast.literal_eval(node.value)
            assert isinstance(value, dict), f"{file}: `about` must be a dict"
            return value
    return None

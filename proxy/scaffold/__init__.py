"""Files that a new plugin begins with: a drop-in with its test, or a project to publish."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from string import Template

TEMPLATES = Path(__file__).parent / "templates"

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_MODULES = sys.stdlib_module_names | {"aiohttp", "plugins", "proxy", "pytest"}
"""What a plugin's test would import in its place."""

_CLASSES = {"Answer", "Any", "ClassVar", "Exchange", "Handler", "Mapping", "Plugin", "Stage"}
"""What the templates import."""

_PYTEST = {
    "pytest.ini": "",
    ".pytest.ini": "",
    "pyproject.toml": "[tool.pytest",
    "tox.ini": "[pytest]",
    "setup.cfg": "[tool:pytest]",
}
"""Where pytest finds settings, and what says that it does."""

_SETTINGS = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
"""Without it pytest-asyncio warns of a default that will change."""


@dataclass(frozen=True, slots=True)
class NewPlugin:
    """The names that follow from one: `rate-card`, `rate_card`, `RateCard`, `Rate-Card`.

    Raises ValueError for one that is not kebab-case, and for one that can't work in Python.
    """

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"'{self.name}' is no name for a plugin: write it as rate-card")
        if reason := self._unusable():
            raise ValueError(f"'{self.name}' can't be the name of a plugin: {reason}")

    def _unusable(self) -> str | None:
        if self.module.startswith("test_") or self.module == "conftest":
            return f"{self.module}.py is a test's file, and no plugin is looked for in it"
        if iskeyword(self.module) or iskeyword(self.class_name):
            return "it is a word of Python's own"
        if self.module in _MODULES:
            return f"Python would import another module '{self.module}'"
        if self.class_name in _CLASSES:
            return f"its class would be called {self.class_name}, as one that it imports"
        return None

    @property
    def module(self) -> str:
        """The file's or package's name."""
        return self.name.replace("-", "_")

    @property
    def class_name(self) -> str:
        """The class."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    @property
    def header(self) -> str:
        """What the example puts behind `X-`."""
        return "-".join(part.capitalize() for part in self.name.split("-"))

    @property
    def distribution(self) -> str:
        """What it is called where packages are published."""
        return f"brain-{self.name}"


def dropin(new: NewPlugin, folder: Path) -> dict[Path, str]:
    """Return the files of a drop-in in `folder`, the `plugins_dir` of a routes.yaml.

    Settings of pytest are among them where neither the folder nor one above has any.
    """
    files = {
        folder / f"{new.module}.py": _filled("dropin.py.txt", new),
        folder / f"test_{new.module}.py": _filled(
            "test_dropin.py.txt",
            new,
            imports="from pathlib import Path\n\n",
            import_from=new.module,
            entry=new.name,
            plugins_dir="\n        plugins_dir: {Path(__file__).parent}",
        ),
    }
    return files if _has_settings(folder) else {**files, folder / "pytest.ini": _SETTINGS}


def _has_settings(folder: Path) -> bool:
    own = folder.absolute()
    return any(
        (place / name).is_file() and mark in (place / name).read_text(errors="replace")
        for place in (own, *own.parents)
        for name, mark in _PYTEST.items()
    )


def package(new: NewPlugin, folder: Path) -> dict[Path, str]:
    """Return the files of a project in `folder / NAME`."""
    top = folder / new.distribution
    source = _filled("dropin.py.txt", new)
    init = f'"""A plugin of Brain Gateway."""\n\nfrom {new.module}.plugin import {new.class_name}\n'
    return {
        top / "pyproject.toml": _filled("package/pyproject.toml.txt", new),
        top / "README.md": _filled("package/README.md.txt", new),
        top / "schema.json": json.dumps(_schema(new), indent=2) + "\n",
        top / "src" / new.module / "__init__.py": f'{init}\n__all__ = ["{new.class_name}"]\n',
        top / "src" / new.module / "plugin.py": source,
        top / "src" / new.module / "py.typed": "",
        top / "tests" / f"test_{new.module}.py": _filled(
            "test_dropin.py.txt",
            new,
            imports="",
            import_from=new.module,
            entry=f'{{{{use: "{new.module}:{new.class_name}"}}}}',
            plugins_dir="",
        ),
        top / "tests" / "test_schema.py": _filled("package/test_schema.py.txt", new),
    }


def _filled(template: str, new: NewPlugin, **more: str) -> str:
    text = (TEMPLATES / template).read_text()
    return Template(text).substitute(
        name=new.name,
        module=new.module,
        class_name=new.class_name,
        header=new.header,
        distribution=new.distribution,
        **more,
    )


def _schema(new: NewPlugin) -> dict[str, object]:
    """Return what the class of the template has as its schema."""
    header = f"X-{new.header}"
    return {
        "type": "object",
        "additionalProperties": False,
        "description": f"Sets {header} on what is sent to the upstream.",
        "properties": {
            "value": {
                "type": "string",
                "minLength": 1,
                "default": "hello",
                "description": f"Value of {header}. Default hello.",
            }
        },
    }

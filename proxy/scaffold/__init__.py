"""Files that a new plugin begins with: a drop-in with its test, or a project to publish."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

TEMPLATES = Path(__file__).parent / "templates"

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class NewPlugin:
    """The names that follow from one: `rate-card`, `rate_card`, `RateCard`, `Rate-Card`.

    Raises ValueError for one that is not kebab-case.
    """

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"'{self.name}' is no name for a plugin: write it as rate-card")

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
    """Return the files of a drop-in in `folder`, the `plugins_dir` of a routes.yaml."""
    absolute = folder.absolute()
    return {
        folder / f"{new.module}.py": _filled("dropin.py.txt", new),
        folder / f"test_{new.module}.py": _filled(
            "test_dropin.py.txt",
            new,
            import_from=new.module,
            entry=new.name,
            plugins_dir=f"\n        plugins_dir: {json.dumps(str(absolute))}",
        ),
    }


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

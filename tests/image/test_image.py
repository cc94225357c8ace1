"""What is in the image: the locked packages, the wheel with its files, bytecode for all of it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import zipfile
from pathlib import Path

from packaging.markers import Marker

from proxy.version import VERSION
from tests.image.kit import ROOT
from tests.image.root import NEEDS_AN_ENGINE, NEEDS_ROOT, Root
from tests.image.test_locks import IMAGE, PIN, PROJECT

UNCHECKED = 0b01
"""Flags of bytecode that is known by a hash of its source, which is not compared (PEP 552)."""

SCRIPT = """
import json, sys
from importlib.metadata import distributions, entry_points
from proxy.resources import shipped
print(json.dumps({
    "packages": {each.name.lower().replace("_", "-"): each.version for each in distributions()},
    "plugins": sorted(each.name for each in entry_points(group="brain_gateway.plugins")),
    "routes": str(shipped("routes.yaml")),
}))
"""


def site_packages(image: Root) -> Path:
    (found,) = image.path("/opt/brain").glob("lib/python3.*/site-packages")
    return found


def wheel(image: Root) -> Path:
    (found,) = image.path("/build").glob("dist/*.whl")
    return found


def ask(image: Root) -> dict[str, object]:
    """Return what the image's Python knows of its packages."""
    done = subprocess.run(
        [image.path("/opt/brain/bin/python"), "-I", "-c", SCRIPT],
        env=image.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def for_this_machine() -> dict[str, str]:
    """Return the versions of the image's lock whose markers hold here."""
    found: dict[str, str] = {}
    for line in (ROOT / "requirements-image.lock").read_text().splitlines():
        pin = PIN.match(line)
        if pin and (pin[3] is None or Marker(pin[3]).evaluate()):
            found[pin[1]] = pin[2]
    return found


def test_every_step_ran_that_needs_no_engine(image: Root) -> None:
    assert image.left_out == [*NEEDS_AN_ENGINE, *(NEEDS_ROOT if os.geteuid() != 0 else ())]


def test_it_holds_the_locked_packages_the_gateway_and_nothing_else(image: Root) -> None:
    found = ask(image)
    assert found["packages"] == {**for_this_machine(), "brain-gateway": VERSION}
    assert len(for_this_machine()) > len(IMAGE) / 2
    declared = PROJECT["project"]["entry-points"]["brain_gateway.plugins"]
    assert found["plugins"] == sorted(declared)


def test_its_packages_fit_together(image: Root) -> None:
    done = subprocess.run(
        [image.python, "-m", "pip", "--python", image.path("/opt/brain/bin/python"), "check"],
        env=image.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_wheel_holds_the_code_the_schemas_and_the_shipped_routes(image: Root) -> None:
    with zipfile.ZipFile(wheel(image)) as archive:
        names = archive.namelist()
        routes = archive.read("proxy/data/routes.yaml")
        schemas = {
            name: archive.read(f"proxy/data/schemas/{name}")
            for name in ("routes.schema.json", "plugins.schema.json")
        }
    assert routes == (ROOT / "routes.yaml").read_bytes()
    for name, content in schemas.items():
        assert content == (ROOT / "schemas" / name).read_bytes()
    roots = {name.partition("/")[0] for name in names}
    assert roots == {"proxy", "plugins", f"brain_gateway-{VERSION}.dist-info"}
    modules = {name for name in names if name.endswith(".py")}
    written = [path for top in ("proxy", "plugins") for path in (ROOT / top).rglob("*.py")]
    assert modules == {str(path.relative_to(ROOT)) for path in written}


def test_the_shipped_routes_are_found_where_it_is_installed(image: Root) -> None:
    shipped = Path(str(ask(image)["routes"]))
    assert shipped == site_packages(image) / "proxy/data/routes.yaml"
    assert shipped.is_file()


def test_every_module_has_bytecode_that_no_import_checks_again(image: Root) -> None:
    """Those of the standard library too: the base image has none, and a read-only root keeps none."""
    (library,) = (image.folder / "usr/local/lib").glob("python3.*")
    ours = list(site_packages(image).rglob("*.py"))
    standard = [*library.glob("*.py"), *library.glob("json/*.py"), *library.glob("asyncio/*.py")]
    for source in [*ours, *standard]:
        (compiled,) = source.parent.glob(f"__pycache__/{source.stem}.cpython-*.pyc")
        with compiled.open("rb") as stream:
            flags = struct.unpack("<I", stream.read(8)[4:])[0]
        assert flags == UNCHECKED, source

"""`brain doctor` finds nothing to mend between the shipped file and the stand-ins."""

import asyncio
from pathlib import Path

from proxy.config.load import load
from proxy.demo.stand_ins import StandIns
from proxy.doctoring.examine import Examination
from proxy.doctoring.patient import Options
from proxy.doctoring.subjects import Subject, subjects
from proxy.doctoring.told import as_json
from proxy.plugin.catalog import Catalog

FILE = Path(__file__).parents[2] / "routes.yaml"


def shipped(environment: dict[str, str]) -> list[Subject]:
    loaded = load([FILE], environment=environment, catalog=Catalog(), keep_tree=True)
    assert loaded.config is not None
    assert loaded.root is not None
    return subjects(loaded.config, loaded.root)


async def test_nothing_is_wrong_with_the_stand_ins_beyond_what_is_known(
    stand_ins: StandIns,
) -> None:
    chosen = await asyncio.to_thread(shipped, stand_ins.environment())
    options = Options(idle_wait=4.5, paths=("/contacts/", "/pages/"))
    told = as_json(await Examination({}, options).all(chosen))
    assert told["problems"] == 0
    notes = [
        (upstream["name"], one["check"], one["summary"].partition(",")[0])
        for upstream in told["upstreams"]
        for one in upstream["findings"]
        if one["severity"] == "note"
    ]
    # aiohttp takes fields of 8190 bytes, and Django's CommonMiddleware adds slashes.
    bounds = [
        (upstream["name"], "bounds", "takes one field of 7KiB") for upstream in told["upstreams"]
    ]
    redirects = "redirects /api/contacts to /api/contacts/ with 301: a POST without the slash"
    slash = ("django-crm", "slash", f"{redirects} loses its body")
    assert sorted(notes) == sorted([*bounds, slash])

"""The example of docs/doctor.md is what the command says of such a service."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from proxy.cli.doctored import as_text
from tests.functional.doctorkit import Doctor, Make, answer
from tests.functional.kit import Seen

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
FILE = re.search(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
OUTPUT = re.search(r"^```\n(crm  http:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def django(seen: Seen) -> bytes:
    """Django with DEBUG, below gunicorn with a bound on lines."""
    if len(seen.line) > 4094:
        return answer(400, "Connection: close")
    path = unquote(seen.target.partition("?")[0])
    if path == "/api/contacts":
        return answer(301, "Location: /api/contacts/")
    return answer(404, body=f"The current path, {path}, matched none of these.")


def without_times(text: str) -> str:
    return re.sub(r"\b[0-9.]+ m?s\b", "N ms", text)


async def test_the_example_of_the_page_is_what_is_said(service: Make, doctor: Doctor) -> None:
    assert FILE is not None
    assert OUTPUT is not None
    one = await service(django, idle=2.0)
    text = FILE[1].replace("crm:8003", f"127.0.0.1:{one.port}")
    told = as_text(await doctor.told(text, idle_wait=5.0)) + "\n"
    told = told.replace(f"127.0.0.1:{one.port}", "crm:8003").replace(f"{doctor.file.parent}/", "")
    assert without_times(told) == without_times(OUTPUT[1])

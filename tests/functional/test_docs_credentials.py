"""docs/credentials.md: what its recipes send arrives at an upstream as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.codes import CODES
from tests.functional.conftest import MakeGateway
from tests.functional.kit import RecordingUpstream
from tests.functional.test_plugins_access import bearer

PAGE = (Path(__file__).parents[2] / "docs" / "credentials.md").read_text()
RECIPES = PAGE.partition("## A recipe for each style")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", RECIPES, re.MULTILINE | re.DOTALL)

SENT = [
    ("lago", "Authorization", "Bearer platform-lago.api_key"),
    ("calendly", "Authorization", "Bearer acme-calendly.token"),
    ("erp", "Authorization", "token acme-erpnext.api_key:acme-erpnext.api_secret"),
    ("plane", "X-API-Key", "acme-plane.api_key"),
    (
        "twilio",
        "Authorization",
        "Basic YWNtZS10d2lsaW8uYWNjb3VudF9zaWQ6YWNtZS10d2lsaW8uYXV0aF90b2tlbg==",
    ),
    ("trello", None, "/x?y=1&key=acme-trello.key&token=acme-trello.token"),
    ("telegram", None, "/botacme-telegram.token/x?y=1"),
    ("legacy", "Cookie", "session=platform-legacy.session"),
    ("ads", "developer-token", "platform-google-ads.developer_token"),
    ("ads", "Authorization", "Bearer acme-google-ads.access_token"),
    ("groq", "Authorization", "Bearer platform-groq.api_key"),
]
"""By service: a header and its value, or the target. Each value of a secret is `WHOSE-NAME.FIELD`."""

BLOCK_OF = {
    name: block for block in BLOCKS for name in re.findall(r"^  ([\w-]+):$", block, re.MULTILINE)
}
OF_TENANTS_HOST = {"shopify", "wordpress"}


def write_secrets(block: str, folder: Path, *, but: str) -> None:
    """Write a file for each path of a block but one, with all fields that the block names."""
    fields = sorted(set(re.findall(r"secret\.(\w+)", block)))
    for path in re.findall(r"(?:tenants/\$\{principal\.tenant\}|platform)[\w/-]+", block):
        file = folder / f"{path.replace('${principal.tenant}', 'acme')}.yaml"
        whose = "acme" if "tenants" in path else "platform"
        if path == but:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{each}: {whose}-{file.stem}.{each}\n" for each in fields))
        file.chmod(0o600)


def served(block: str, folder: Path, url: str) -> str:
    """Return a block with an upstream, a folder and callers that a test has."""
    block = re.sub(r"upstream: \S+", f'upstream: "{url}"', block)
    block = block.replace("/run/secrets/brain", str(folder))
    return re.sub(
        r"- jwt: .*", '- {use: "tests.functional.test_plugins_access:Unsigned", as: tokens}', block
    )


@pytest.mark.parametrize(("service", "header", "wanted"), SENT)
async def test_a_recipe_puts_it_where_the_page_says(
    gateway: MakeGateway,
    upstream: RecordingUpstream,
    tmp_path: Path,
    service: str,
    header: str | None,
    wanted: str,
) -> None:
    block = BLOCK_OF[service]
    # That one is not connected: the platform's is used.
    write_secrets(block, tmp_path / "kept", but="tenants/${principal.tenant}/connectors/groq")
    running = await gateway(served(block, tmp_path / "kept", upstream.url))
    reply = await running.get(f"/api/brain/{service}/x?y=1", bearer(tenant="acme"))
    assert reply.status == 200
    assert (upstream.last.header(header) if header else upstream.last.target) == wanted


def test_every_service_of_the_recipes_is_in_the_table() -> None:
    assert BLOCK_OF.keys() - OF_TENANTS_HOST == {service for service, *_ in SENT}


def test_its_codes_are_there_with_the_status_that_it_says() -> None:
    rows = re.findall(r"^\| (\d{3}) `(\w+)` \|", PAGE, re.MULTILINE)
    assert len(rows) == 8
    assert rows == [(str(CODES[code].status), code) for _, code in rows]

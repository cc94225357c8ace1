"""The table of error codes: each row is told well, and what it names is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.cli.main import COMMANDS
from proxy.codes import CODES, Side, title_of
from proxy.config.codes import Code as Diagnostic

ROOT = Path(__file__).parent.parent

RFC_9209 = {
    "dns_timeout",
    "dns_error",
    "destination_not_found",
    "destination_unavailable",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "connection_read_timeout",
    "connection_write_timeout",
    "connection_limit_reached",
    "tls_protocol_error",
    "tls_certificate_error",
    "tls_alert_received",
    "http_request_error",
    "http_request_denied",
    "http_response_incomplete",
    "http_response_header_section_size",
    "http_response_header_size",
    "http_response_body_size",
    "http_response_trailer_section_size",
    "http_response_trailer_size",
    "http_response_transfer_coding",
    "http_response_content_coding",
    "http_response_timeout",
    "http_upgrade_failed",
    "http_protocol_error",
    "proxy_internal_response",
    "proxy_internal_error",
    "proxy_configuration_error",
    "proxy_loop_detected",
}
"""The error types that the RFC registers (2.3)."""


def sentences() -> Iterator[tuple[str, str]]:
    """Yield every sentence of the two tables with where it stands."""
    for name, code in CODES.items():
        yield f"{name} detail", code.detail
        yield f"{name} remedy", code.remedy
    for diagnostic in Diagnostic:
        yield f"{diagnostic} meaning", diagnostic.meaning
        yield f"{diagnostic} remedy", diagnostic.remedy


@pytest.mark.parametrize("text", [pytest.param(text, id=where) for where, text in sentences()])
def test_what_is_told_is_a_short_sentence(text: str) -> None:
    assert re.fullmatch(r"[A-Z'].{2,}\.", text), "it begins as a sentence and ends as one"
    assert len(text) <= 125, "one line of a wide terminal, beside the code"
    assert "|" not in text, "it stands in tables of Markdown"
    assert "  " not in text


def test_codes_are_snake_case_and_statuses_those_of_errors() -> None:
    for name, code in CODES.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name)
        assert re.fullmatch(r"[a-z][a-z_]*", code.stage), name
        assert 400 <= code.status <= 599
        assert title_of(code.status) != "Error", f"{name}: {code.status} has no title"


def test_the_side_fits_the_status() -> None:
    for name, code in CODES.items():
        if code.status < 500:
            assert code.side is Side.CLIENT, name
        if name.startswith("upstream_"):
            assert code.side is Side.UPSTREAM, name
        if code.side is Side.UPSTREAM:
            assert code.status in (502, 503, 504), name


def test_proxy_errors_are_registered_ones() -> None:
    assert {code.proxy_error for code in CODES.values()} - {None} <= RFC_9209


def test_titles_do_not_change_with_pythons_version() -> None:
    assert title_of(413) == "Content Too Large"
    assert title_of(499) == "Client Closed Request"
    assert title_of(502) == "Bad Gateway"
    assert title_of(599) == "Error"


# -- what remedies name


KEY = re.compile(r"\b(?:gateway|limits|timeouts|upstream)(?:\.[a-z_]+)+")


def known_keys() -> set[str]:
    """Return the keys of the language with their paths, as remedies name them."""
    schema = json.loads((ROOT / "schemas" / "routes.schema.json").read_text())
    sections = schema["definitions"]
    gateway = schema["properties"]["gateway"]
    roots = {name: sections[name] for name in ("limits", "timeouts", "upstream")}
    return set(_below({"gateway": gateway, **roots}, sections, ""))


def _below(properties: dict[str, Any], sections: dict[str, Any], path: str) -> Iterator[str]:
    for name, found in properties.items():
        yield f"{path}{name}"
        whole = sections[found["$ref"].rpartition("/")[2]] if "$ref" in found else found
        for each in (whole, *whole.get("anyOf", ()), *whole.get("oneOf", ())):
            yield from _below(each.get("properties", {}), sections, f"{path}{name}.")


def test_keys_that_remedies_name_are_in_the_language() -> None:
    named = {found for _, text in sentences() for found in KEY.findall(text)}
    assert len(named) > 15
    assert named - known_keys() == set()


def test_commands_that_remedies_name_are_there() -> None:
    named = {found for _, text in sentences() for found in re.findall(r"'brain ([a-z]+)", text)}
    assert named >= {"check", "routes", "status"}
    assert named - COMMANDS.keys() == set()

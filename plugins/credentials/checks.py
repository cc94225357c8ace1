"""What the schema can't say of the options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.credentials.injection import AUTHORIZATION, Injection
from proxy import Outgoing, Problems, Template


def check(injection: Injection, given: Mapping[str, Any], problems: Problems) -> None:
    """Report options that put nothing, the same twice, or where nothing can be put."""
    if not injection:
        problems.add("", "nothing is put anywhere", hint='add headers: {Authorization: "…"}')
    headers: Mapping[str, Template] = given["headers"] or {}
    seen = set[str]()
    for name in headers:
        _check_name(name, seen, problems)
        seen.add(_twin(name))
    if given["basic"] and _twin(AUTHORIZATION) in seen:
        problems.add("basic", "it is the header Authorization, which 'headers' sets too")
    path: Template | None = given["path"]
    if path is not None and (not path.text.startswith("/") or path.text.endswith("/")):
        problems.add(
            "path", "it begins with a slash and ends with none, such as /bot${secret.token}"
        )
    if path is not None and given["base_url"] is not None:
        problems.add("path", "base_url has a path of its own", hint="write it there")


def _check_name(name: str, seen: set[str], problems: Problems) -> None:
    if _twin(name) in seen:
        problems.add(f"headers.{name}", f"'{name}' is there twice, in another spelling")
    elif _twin(name) == "cookie":
        problems.add(f"headers.{name}", "cookies are set by 'cookies', which leaves the client's")
    else:
        try:
            Outgoing("GET", "/", []).add_header(name, "")
        except ValueError as error:
            problems.add(f"headers.{name}", str(error))


def _twin(name: str) -> str:
    return name.lower().replace("_", "-")

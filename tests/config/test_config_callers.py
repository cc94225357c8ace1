"""Plugins that know whether they need somebody to be known, and whom they let pass."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar

import pytest
from aiohttp import web

from proxy.plugin.answer import Answer
from proxy.plugin.base import Authenticator, Handler, Plugin
from proxy.plugin.principal import Principal
from proxy.plugin.stages import Stage

HERE = "tests.config.test_config_callers"


class Told(Plugin):
    """Says of itself what its options say."""

    stage = Stage.AUTHORIZE
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "needs": {"type": "boolean"},
            "admits": {"type": "string"},
            "text": {"type": "string", "format": "template"},
        },
    }

    def __init__(self, *, needs: bool | None = None, admits: str = "", text: Any = None) -> None:
        self.needs_caller = needs
        self._admits = admits

    def admits(self) -> str | None:
        if self._admits == "bug":
            raise ZeroDivisionError("a bug")
        return self._admits or None

    def __call__(self, request: web.BaseRequest, handler: Handler) -> Awaitable[Answer]:
        return handler(request)


class Follower(Authenticator):
    """Takes only what another authenticator's callers got."""

    follows = True

    def authenticate(self, request: web.BaseRequest) -> Principal | None:
        return None


def file_of(options: str, public: str = "true") -> str:
    return (
        "version: 1\nplugins: [jwt: {issuer: x}]\nservices:\n  a:\n    upstream: http://a\n"
        f"    public: {public}\n    plugins: [{{use: '{HERE}:Told', as: told, with: {options}}}]\n"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{needs: true}", "needs to know who calls"),
        ("{needs: false}", None),
        ("{}", None),
        ('{text: "${claims.org}"}', "needs ${claims.org}"),
        ('{needs: false, text: "${claims.org}"}', None),
        ('{needs: true, text: "${claims.org}"}', "needs to know who calls"),
        ('{needs: false, text: "${request.path.org}"}', "which its path does not name"),
    ],
)
def test_a_plugin_says_whether_a_public_route_may_have_it(
    write: Any, options: str, said: str | None
) -> None:
    found = [each.message for each in write.text(file_of(options)).diagnostics]
    assert len(found) == (0 if said is None else 1)
    assert all(said in message for message in found if said)


@pytest.mark.parametrize("public", ["optional", "false"])
def test_where_somebody_is_asked_for_it_may_stand(write: Any, public: str) -> None:
    assert write.text(file_of("{needs: true}", public)).diagnostics == ()


def test_an_entry_keeps_whom_its_plugin_lets_pass(write: Any) -> None:
    config = write.text(file_of("{admits: role admin}")).config
    assert [entry.admits for entry in config.entries] == [None, "role admin"]


def test_a_plugin_that_fails_to_say_so_refuses_the_load(write: Any) -> None:
    (found,) = write.text(file_of("{admits: bug}")).diagnostics
    assert "ZeroDivisionError" in found.message


def test_without_plugins_the_shipped_schemas_say_it(write: Any) -> None:
    text = "version: 1\nplugins: [{jwt: {issuer: x}}, identity-headers]\nservices:\n"
    write.file("routes.yaml", f"{text}  a: {{upstream: http://a, public: true}}\n")
    told = [each.message for each in write.load(run_plugins=False).diagnostics]
    assert not [message for message in told if "identity-headers" in message]


FOLLOWER = f"{{use: '{HERE}:Follower', as: follower}}"


@pytest.mark.parametrize(
    ("plugins", "public", "told"),
    [
        (f"[{FOLLOWER}]", "false", True),
        (f"[{FOLLOWER}]", "optional", True),
        (f"[jwt: {{issuer: x}}, {FOLLOWER}]", "false", False),
    ],
)
def test_what_follows_another_authenticator_stands_not_alone(
    write: Any, plugins: str, public: str, told: bool
) -> None:
    text = f"version: 1\nservices:\n  a: {{upstream: http://a, public: {public}, plugins: {plugins}}}\n"
    found = [each.message for each in write.text(text).diagnostics]
    assert bool(found) is told
    assert all("asks for nothing but 'follower'" in message for message in found)

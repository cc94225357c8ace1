"""The store `env`: which variable a reference means."""

from __future__ import annotations

import pytest

from proxy.config.models import EnvSecrets
from proxy.ports.secrets import SecretMalformed
from proxy.secrets.environment import EnvStore


def store(**variables: str) -> EnvStore:
    return EnvStore(EnvSecrets("BRAIN_SECRET_", variables))


@pytest.mark.parametrize(
    ("path", "field", "variable"),
    [
        ("platform/redis", "url", "BRAIN_SECRET_PLATFORM_REDIS_URL"),
        ("integrations/my-app.v2", "api_key", "BRAIN_SECRET_INTEGRATIONS_MY_APP_V2_API_KEY"),
        ("Lago", "Key", "BRAIN_SECRET_LAGO_KEY"),
    ],
)
async def test_a_path_and_a_field_are_one_variable(path: str, field: str, variable: str) -> None:
    assert (await store(**{variable: "x"}).get(path)).fields.get(field) == "x"
    assert store().remedy(path, field) == f"set {variable}"


async def test_what_is_not_set_or_set_to_nothing_is_no_field() -> None:
    fields = (await store(BRAIN_SECRET_A_X="", BRAIN_SECRET_A_Y="y").get("a")).fields
    assert fields.get("x") is None
    assert fields.get("z") is None
    assert fields.get("y") == "y"


async def test_bytes_that_are_no_text_are_told_without_what_they_are() -> None:
    fields = (await store(BRAIN_SECRET_A_X="s3s\udcffame").get("a")).fields
    with pytest.raises(SecretMalformed, match="BRAIN_SECRET_A_X is not UTF-8") as raised:
        fields.get("x")
    assert "s3s" not in str(raised.value)


async def test_a_text_with_line_breaks_is_a_value() -> None:
    assert (await store(BRAIN_SECRET_A_PEM="a\nb").get("a")).fields["pem"] == "a\nb"


def test_nothing_of_it_shows_a_value() -> None:
    settings = EnvSecrets("BRAIN_SECRET_", {"BRAIN_SECRET_A_X": "s3same"})
    assert "s3same" not in repr(settings) + repr(EnvStore(settings))

"""What editors show of the options, and what the loader makes of the defaults."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft7Validator

from plugins.access_log import AccessLog
from plugins.api_key import ApiKey
from plugins.authorize import Authorize
from plugins.body_transform import BodyTransform
from plugins.cache import Cache
from plugins.compress import Compress
from plugins.cors import Cors
from plugins.headers import Headers
from plugins.identity_headers import IdentityHeaders
from plugins.ip_filter import IpFilter
from plugins.metrics import Metrics
from plugins.redirect import Redirect
from plugins.request_id import RequestId
from plugins.respond import Respond
from plugins.tracing import Tracing
from proxy import Plugin
from proxy.plugin.options import convert

EVERY = [
    AccessLog,
    ApiKey,
    Authorize,
    BodyTransform,
    Cache,
    Compress,
    Cors,
    Headers,
    IdentityHeaders,
    IpFilter,
    Metrics,
    Redirect,
    RequestId,
    Respond,
    Tracing,
]
NEEDED: Mapping[type[Plugin], Mapping[str, Any]] = {
    ApiKey: {"keys": [{"name": "a", "sha256": "0" * 64}]},
    Authorize: {"allow": [{}]},
    Cors: {"origins": []},
    IpFilter: {"deny": []},
}


def parts_of(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the schema and all that stand in it."""
    yield schema
    inner = [*schema.get("properties", {}).values(), schema.get("items")]
    for each in [*inner, *schema.get("anyOf", ()), schema.get("additionalProperties")]:
        if isinstance(each, Mapping):
            yield from parts_of(each)


@pytest.mark.parametrize("kind", EVERY)
def test_every_key_is_described_and_no_other_is_taken(kind: type[Plugin]) -> None:
    Draft7Validator.check_schema(dict(kind.schema))
    for part in parts_of(kind.schema):
        assert part["description"].endswith(".")
        if part.get("type") == "object" and part.get("format") != "secret":
            assert "additionalProperties" in part


@pytest.mark.parametrize("kind", EVERY)
def test_defaults_fit_the_schema_and_make_an_instance(kind: type[Plugin]) -> None:
    for part in parts_of(kind.schema):
        if "default" in part:
            Draft7Validator(dict(part)).validate(part["default"])
    kind(**convert(kind.schema, NEEDED.get(kind, {})))


def test_a_digest_is_64_hexadecimal_digits_or_two_such() -> None:
    takes = Draft7Validator(dict(ApiKey.schema)).is_valid
    for good in ("a" * 64, ["A" * 64, "0" * 64]):
        assert takes({"keys": [{"name": "a", "sha256": good}]})
    for bad in ("a" * 63, "g" * 64, [], ["0" * 64] * 3, 64 * 10**63):
        assert not takes({"keys": [{"name": "a", "sha256": bad}]})

"""What a secret's fields become: texts that are safe where they are put, made once for each secret."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

from proxy import GatewayError, PreparedHeaders, Secret, SecretError, Template

_COOKIE = re.compile(r"[!#-+\--:<-\[\]-~]*")  # cookie-octets (RFC 6265, 4.1.1)
_IN_PATH = "!$&'()*+,;=:@~"
"""What a segment may hold beside letters and digits (RFC 3986, 3.3)."""


class Fields:
    """The fields of one secret, and which of them were used."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self.used: dict[str, str] = {}

    def text(self, template: Template) -> str:
        """Return a text of the options with the fields in it. Raises GatewayError."""
        try:
            return template.render(self._field, quote=False)
        except LookupError as missing:
            name = str(missing).removeprefix("secret.")
            raise GatewayError("credential_missing", log=f"it has no '{name}'") from None
        except ValueError as error:
            raise _invalid(str(error)) from None

    def _field(self, name: str) -> str | None:
        field = name.removeprefix("secret.")
        try:
            value = self._secret.fields.get(field)
        except SecretError as error:
            raise _invalid(str(error)) from None
        if value:
            self.used[field] = value
        return value or None


def headers(given: Mapping[str, Template], fields: Fields) -> dict[str, str]:
    """Return the headers by name. Raises GatewayError."""
    return {name: fields.text(template) for name, template in given.items()}


def basic(user: Template, password: Template, fields: Fields) -> str:
    """Return the value of Authorization (RFC 7617). Raises GatewayError."""
    name = fields.text(user)
    if ":" in name:
        raise _invalid("the user for Basic has a colon")
    pair = f"{name}:{fields.text(password)}"
    return "Basic " + b64encode(pair.encode()).decode()


def cookies(given: Mapping[str, Template], fields: Fields) -> dict[str, str]:
    """Return the cookies by name. Raises GatewayError."""
    found = {name: fields.text(template) for name, template in given.items()}
    for name, value in found.items():
        if not _COOKIE.fullmatch(value):
            raise _invalid(f"the value of the cookie '{name}' has a character that none may have")
    return found


def prefix(given: Template, fields: Fields) -> str:
    """Return what stands before a path: each value is a part of one segment. Raises GatewayError."""
    fields.text(given)  # refuses controls
    quoted = {name: _segment(name, value) for name, value in fields.used.items()}
    text = given.render(lambda name: quoted.get(name.removeprefix("secret.")), quote=False)
    if any(part in (".", "..", "") for part in text.split("/")[1:]):
        raise _invalid("what is put before the path climbs it")
    return text


def _segment(name: str, value: str) -> str:
    try:
        return quote(value, safe=_IN_PATH)
    except UnicodeEncodeError:
        raise _invalid(f"the field '{name}' is no text") from None


def prepared(named: Mapping[str, str]) -> PreparedHeaders:
    """Return headers ready to be sent. Raises GatewayError for what no header may hold."""
    try:
        return PreparedHeaders(named)
    except ValueError as error:
        raise _invalid(str(error)) from None


def _invalid(why: str) -> GatewayError:
    return GatewayError("credential_invalid", log=why)


LEAST = 8
"""Characters of a value that is looked for in answers: shorter ones stand in many a header."""


def telling(texts: Iterator[str]) -> tuple[bytes, ...]:
    """Return what an answer must not repeat: values as they are, and as URLs spell them."""
    found = dict[bytes, None]()
    for text in texts:
        if len(text) >= LEAST:
            spelt = (text, quote_plus(text), quote(text, safe=""), quote(text, safe=_IN_PATH))
            found.update(dict.fromkeys(each.encode() for each in spelt))
    return tuple(found)

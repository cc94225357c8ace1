"""Brain Gateway: the public names for plugin authors, and nothing else.

Names load on first use, so that `import proxy` costs nothing to a command that needs none of them.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself is a third of what a health check would import
    from typing import Any

    from proxy.errors import ConfigError as ConfigError
    from proxy.errors import GatewayError as GatewayError
    from proxy.errors import Problem as Problem
    from proxy.errors import Unauthenticated as Unauthenticated
    from proxy.errors import Unavailable as Unavailable
    from proxy.output import write_lines as write_lines
    from proxy.plugin.answer import Answer as Answer
    from proxy.plugin.base import Authenticator as Authenticator
    from proxy.plugin.base import Handler as Handler
    from proxy.plugin.base import Plugin as Plugin
    from proxy.plugin.base import Problems as Problems
    from proxy.plugin.context import GatewayStatus as GatewayStatus
    from proxy.plugin.context import PluginContext as PluginContext
    from proxy.plugin.context import TargetStatus as TargetStatus
    from proxy.plugin.context import UpstreamStatus as UpstreamStatus
    from proxy.plugin.exchange import EXCHANGE as EXCHANGE
    from proxy.plugin.exchange import Attempt as Attempt
    from proxy.plugin.exchange import Client as Client
    from proxy.plugin.exchange import Exchange as Exchange
    from proxy.plugin.fields import PreparedHeaders as PreparedHeaders
    from proxy.plugin.hosts import Origin as Origin
    from proxy.plugin.hosts import TenantHosts as TenantHosts
    from proxy.plugin.jwk import VerifyingKey as VerifyingKey
    from proxy.plugin.jwk import key_of as key_of
    from proxy.plugin.jwks import KeySet as KeySet
    from proxy.plugin.jws import jws_bytes as jws_bytes
    from proxy.plugin.jws import jws_object as jws_object
    from proxy.plugin.outgoing import Outgoing as Outgoing
    from proxy.plugin.principal import Principal as Principal
    from proxy.plugin.secret_path import SecretPath as SecretPath
    from proxy.plugin.secret_path import value_in_path as value_in_path
    from proxy.plugin.stages import Stage as Stage
    from proxy.plugin.stores import STORE_SCHEMA as STORE_SCHEMA
    from proxy.plugin.values import render as render
    from proxy.ports.secrets import BoundSecret as BoundSecret
    from proxy.ports.secrets import KeptSecret as KeptSecret
    from proxy.ports.secrets import KeptStore as KeptStore
    from proxy.ports.secrets import Secret as Secret
    from proxy.ports.secrets import SecretAway as SecretAway
    from proxy.ports.secrets import SecretConflict as SecretConflict
    from proxy.ports.secrets import SecretError as SecretError
    from proxy.ports.secrets import SecretForbidden as SecretForbidden
    from proxy.ports.secrets import SecretMissing as SecretMissing
    from proxy.ports.secrets import SecretRef as SecretRef
    from proxy.ports.stores import Once as Once
    from proxy.ports.stores import Store as Store
    from proxy.secrets.option_file import OptionFile as OptionFile
    from proxy.templates import Template as Template
    from proxy.text import printable as printable

CONTRACT = 1
"""Version of the plugin contract: raised when a plugin written for the last one could break."""

_HOMES = {
    "Answer": "proxy.plugin.answer",
    "Attempt": "proxy.plugin.exchange",
    "Authenticator": "proxy.plugin.base",
    "BoundSecret": "proxy.ports.secrets",
    "Client": "proxy.plugin.exchange",
    "ConfigError": "proxy.errors",
    "EXCHANGE": "proxy.plugin.exchange",
    "Exchange": "proxy.plugin.exchange",
    "GatewayError": "proxy.errors",
    "GatewayStatus": "proxy.plugin.context",
    "Handler": "proxy.plugin.base",
    "KeptSecret": "proxy.ports.secrets",
    "KeptStore": "proxy.ports.secrets",
    "KeySet": "proxy.plugin.jwks",
    "Once": "proxy.ports.stores",
    "OptionFile": "proxy.secrets.option_file",
    "Origin": "proxy.plugin.hosts",
    "Outgoing": "proxy.plugin.outgoing",
    "Plugin": "proxy.plugin.base",
    "PluginContext": "proxy.plugin.context",
    "PreparedHeaders": "proxy.plugin.fields",
    "Principal": "proxy.plugin.principal",
    "Problem": "proxy.errors",
    "Problems": "proxy.plugin.base",
    "STORE_SCHEMA": "proxy.plugin.stores",
    "Secret": "proxy.ports.secrets",
    "SecretAway": "proxy.ports.secrets",
    "SecretConflict": "proxy.ports.secrets",
    "SecretError": "proxy.ports.secrets",
    "SecretForbidden": "proxy.ports.secrets",
    "SecretMissing": "proxy.ports.secrets",
    "SecretPath": "proxy.plugin.secret_path",
    "SecretRef": "proxy.ports.secrets",
    "Stage": "proxy.plugin.stages",
    "Store": "proxy.ports.stores",
    "TargetStatus": "proxy.plugin.context",
    "Template": "proxy.templates",
    "TenantHosts": "proxy.plugin.hosts",
    "Unauthenticated": "proxy.errors",
    "Unavailable": "proxy.errors",
    "UpstreamStatus": "proxy.plugin.context",
    "VerifyingKey": "proxy.plugin.jwk",
    "jws_bytes": "proxy.plugin.jws",
    "jws_object": "proxy.plugin.jws",
    "key_of": "proxy.plugin.jwk",
    "printable": "proxy.text",
    "render": "proxy.plugin.values",
    "value_in_path": "proxy.plugin.secret_path",
    "write_lines": "proxy.output",
}

__all__ = ["CONTRACT", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'proxy' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

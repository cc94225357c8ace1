"""What files refer to in stores of secrets, with its line and all that is needed there."""

from __future__ import annotations

from pathlib import Path

from proxy.config.load import load
from proxy.config.references import Reference
from proxy.plugin.catalog import Catalog

FILE = """version: 1
secrets:
  file: {path: kept}
  vault: {address: "https://vault.example.com", auth: {token_file: token}}
plugins:
  - api-key: {keys: [{name: a, tenant: acme, sha256: {secret: export, field: sha256, store: file}}]}
services:
  crm:
    upstream: http://127.0.0.1:9
    plugins:
      - credentials:
          store: vault
          secret: ["tenants/${principal.tenant}/crm", platform/crm]
          required: false
          headers: {Authorization: "Token ${secret.key}", X-More: "${secret.more} ${secret.key}"}
  mail:
    upstream: http://127.0.0.1:9
    plugins:
      - credentials:
          store: vault
          secret: tenants/${principal.tenant}/mail
          oauth: {token_url: "https://x.example.com/t", grant: refresh_token, client: platform/app}
  own:
    upstream: http://127.0.0.1:9
    plugins:
      - credentials:
          store: vault
          secret: platform/own
          headers: {X-Token: "${secret.access_token} ${secret.account}"}
          oauth: {token_url: "https://x.example.com/t", grant: client_credentials, client_auth: none}
"""


def references(folder: Path, text: str, *, keep_tree: bool = True) -> tuple[Reference, ...]:
    file = folder / "routes.yaml"
    file.write_text(text)
    loaded = load([file], environment={}, catalog=Catalog(), keep_tree=keep_tree)
    assert loaded.config is not None, loaded.render()
    return loaded.references


def test_each_reference_has_its_line_store_and_fields(tmp_path: Path) -> None:
    found = references(tmp_path, FILE)
    assert [(one.span.line, one.store, one.path.text, one.fields) for one in found] == [
        (6, "file", "export", ("sha256",)),
        (13, "vault", "tenants/${principal.tenant}/crm", ("key", "more")),
        (13, "vault", "platform/crm", ("key", "more")),
        (21, "vault", "tenants/${principal.tenant}/mail", ("refresh_token",)),
        # The app's own secret is in the store that stands around it.
        (22, "vault", "platform/app", ("client_id", "client_secret")),
        (28, "vault", "platform/own", ("account", "client_id")),
    ]
    assert [one.span.column for one in found[1:3]] == [20, 55]
    assert [one.owner for one in found] == [
        "",
        *["services.crm"] * 2,
        *["services.mail"] * 2,
        "services.own",
    ]


def test_several_of_which_one_is_enough_belong_together(tmp_path: Path) -> None:
    export, *crm, mail, app, _ = references(tmp_path, FILE)
    assert len({one.one_of for one in (export, *crm, mail, app)}) == 4
    assert [one.required for one in (export, *crm, mail)] == [True, False, False, True]


def test_where_tokens_are_kept_is_written_to(tmp_path: Path) -> None:
    written = [one.path.text for one in references(tmp_path, FILE) if one.writes]
    assert written == ["tenants/${principal.tenant}/mail", "platform/own"]


def test_who_serves_keeps_none(tmp_path: Path) -> None:
    assert references(tmp_path, FILE, keep_tree=False) == ()

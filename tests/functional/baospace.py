"""What tests do in an OpenBao server, by its HTTP API: secrets, policies, logins, engines with leases.

Calls block, for some milliseconds each; one that makes the server call a test's own server in turn
(discovery of keys) goes by `asyncio.to_thread`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from typing import Any
from urllib.parse import quote, urlsplit

import trustme

_JSON = {"Content-Type": "application/json"}


class Refused(Exception):
    """What the server answered instead of 200 or 204."""

    def __init__(self, status: int, body: str) -> None:
        self.status = status
        super().__init__(f"{status} {body}")


class Space:
    """A namespace of a server: the root, or one below it, with KV version 2 at `secret`.

    `root` is a token that may do everything in it.
    """

    def __init__(self, address: str, root: str = "", space: str = "") -> None:
        self.address = address
        self.root = root
        self.space = space

    # -- any call

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        wrap: str | None = None,
        timeout: float = 10,
    ) -> dict[str, Any]:
        """Return what `/v1/{path}` answers, {} for 204. Raises Refused, OSError."""
        headers = {**_JSON, "X-Vault-Token": self.root if token is None else token}
        if self.space:
            headers["X-Vault-Namespace"] = self.space
        if wrap:
            headers["X-Vault-Wrap-TTL"] = wrap
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=timeout)
        with contextlib.closing(connection):
            sent = None if body is None else json.dumps(body)
            connection.request(method, f"/v1/{quote(path, safe='/?=&')}", sent, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        if answer.status not in (200, 204):
            raise Refused(answer.status, text)
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def read(self, path: str, token: str | None = None) -> dict[str, Any]:
        """Return `data` of what is at an API path: `secret/data/tenants/acme`, `database/creds/app`."""
        data: dict[str, Any] = self.call("GET", path, token=token)["data"]
        return data

    def write(self, path: str, /, **fields: Any) -> dict[str, Any]:
        """Write to an API path: `kv1/tenants/acme`, or the configuration of anything."""
        return self.call("POST", path, fields)

    # -- secrets

    def put(self, path: str, /, **fields: Any) -> int:
        """Write a new version below `secret`, and return its number."""
        version: int = self.write(f"secret/data/{path}", data=fields)["data"]["version"]
        return version

    def delete(self, path: str) -> None:
        """Delete the last version, as can be undone."""
        self.call("DELETE", f"secret/data/{path}")

    def destroy(self, path: str, *versions: int) -> None:
        self.call("POST", f"secret/destroy/{path}", {"versions": versions})

    def remove(self, path: str) -> None:
        """Remove all versions and that there ever were any."""
        self.call("DELETE", f"secret/metadata/{path}")

    def mount(self, path: str, kind: str, **more: Any) -> str:
        """Mount an engine, unless it is there, and return the path."""
        if f"{path}/" not in self.call("GET", "sys/mounts")["data"]:
            self.write(f"sys/mounts/{path}", type=kind, **more)
        return path

    def kv1(self, path: str = "kv1") -> str:
        """Mount a KV engine of version 1; `write` writes to it."""
        return self.mount(path, "kv", options={"version": "1"})

    def kv2(self, path: str) -> str:
        """Mount a KV engine of version 2, and wait until it takes requests."""
        self.mount(path, "kv", options={"version": "2"})
        while True:  # it says 400 for as long as it makes itself ready
            with contextlib.suppress(Refused):
                self.call("GET", f"{path}/config")
                return path
            time.sleep(0.005)

    def namespace(self, name: str) -> Space:
        """Make a namespace below this one, with KV version 2 at `secret`."""
        self.write(f"sys/namespaces/{name}")
        made = Space(self.address, self.root, f"{self.space}/{name}".strip("/"))
        made.kv2("secret")
        return made

    # -- who may do what

    def policy(self, name: str, rules: str) -> str:
        """Write a policy, by rules such as `path "secret/data/*" { capabilities = ["read"] }`."""
        self.call("PUT", f"sys/policies/acl/{name}", {"policy": rules})
        return name

    def token(self, *policies: str, ttl: str = "1h", **more: Any) -> str:
        """Make a token without a parent; `more` is `type="batch"`, `explicit_max_ttl`, `num_uses`…"""
        fields = {"policies": policies, "ttl": ttl, "no_parent": True, "no_default_policy": False}
        made: str = self.write("auth/token/create", **{**fields, **more})["auth"]["client_token"]
        return made

    def revoke(self, token: str) -> None:
        self.write("auth/token/revoke", token=token)

    def enable(self, path: str, kind: str) -> str:
        """Enable a way to log in, unless it is there, and return its path."""
        if f"{path}/" not in self.call("GET", "sys/auth")["data"]:
            self.write(f"sys/auth/{path}", type=kind)
        return path

    def approle(
        self,
        name: str,
        *policies: str,
        ttl: str = "1h",
        max_ttl: str = "24h",
        mount: str = "approle",
        **more: Any,
    ) -> tuple[str, str]:
        """Make a role, and return its id and a secret id; `more` is `secret_id_num_uses`…"""
        role = f"auth/{self.enable(mount, 'approle')}/role/{name}"
        self.write(role, token_policies=policies, token_ttl=ttl, token_max_ttl=max_ttl, **more)
        return self.read(f"{role}/role-id")["role_id"], self.secret_id(name, mount)

    def secret_id(self, role: str, mount: str = "approle") -> str:
        """Make one more secret id of a role."""
        made: str = self.write(f"auth/{mount}/role/{role}/secret-id")["data"]["secret_id"]
        return made

    def wrapped_secret_id(self, role: str, ttl: str = "60s", mount: str = "approle") -> str:
        """Return a wrapping token, good for one look at a new secret id."""
        answer = self.call("POST", f"auth/{mount}/role/{role}/secret-id", {}, wrap=ttl)
        token: str = answer["wrap_info"]["token"]
        return token

    def jwt_auth(
        self,
        name: str,
        *policies: str,
        key: str,
        audience: str = "bao",
        ttl: str = "1h",
        mount: str = "jwt",
        **more: Any,
    ) -> str:
        """Let tokens in that the public `key` (PEM) proves: `tests.plugins.tokens.pem(key)`."""
        self.enable(mount, "jwt")
        self.write(f"auth/{mount}/config", jwt_validation_pubkeys=[key])
        fields = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": [audience]}
        self.write(
            f"auth/{mount}/role/{name}", **fields, token_policies=policies, token_ttl=ttl, **more
        )
        return name

    def kubernetes_auth(
        self,
        name: str,
        *policies: str,
        host: str,
        accounts: tuple[str, ...] = ("brain",),
        spaces: tuple[str, ...] = ("default",),
        ttl: str = "1h",
        mount: str = "kubernetes",
        **more: Any,
    ) -> str:
        """Let service accounts in that the API server at `host` vouches for, by TokenReview.

        `host` is `http://127.0.0.1:PORT`, asked when somebody logs in. The tokens are JWTs with the
        claims of Kubernetes; who signed them is for `host` to know.
        """
        self.enable(mount, "kubernetes")
        ca = trustme.CA().cert_pem.bytes().decode()  # it wants one, for plain http too
        self.write(
            f"auth/{mount}/config",
            kubernetes_host=host,
            kubernetes_ca_cert=ca,
            disable_local_ca_jwt=True,
        )
        bound = {
            "bound_service_account_names": accounts,
            "bound_service_account_namespaces": spaces,
        }
        self.write(
            f"auth/{mount}/role/{name}", **bound, token_policies=policies, token_ttl=ttl, **more
        )
        return name

    # -- engines with leases

    def pki(self, role: str = "web", ttl: str = "1h", mount: str = "pki") -> str:
        """Make an authority and a role of it; return the path that issues, with a lease for each."""
        self.mount(mount, "pki")
        self.write(f"{mount}/root/generate/internal", common_name="root of tests", key_type="ec")
        fields = {"allow_any_name": True, "generate_lease": True, "key_type": "ec"}
        self.write(f"{mount}/roles/{role}", **fields, ttl=ttl, max_ttl="24h")
        return f"{mount}/issue/{role}"

    def database(
        self,
        port: int,
        password: str,
        *,
        role: str = "app",
        ttl: str = "1h",
        max_ttl: str = "24h",
        mount: str = "database",
    ) -> str:
        """Make users of a Valkey server on loopback; return the path that gives one, with a lease.

        `password` is the server's own: `valkeykit.Server(password)`.
        """
        self.mount(mount, "database")
        self.write(
            f"{mount}/config/valkey",
            plugin_name="valkey-database-plugin",
            host="127.0.0.1",
            port=port,
            username="default",
            password=password,
            allowed_roles="*",
        )
        fields = {"db_name": "valkey", "creation_statements": '["~*", "+@all"]'}
        self.write(f"{mount}/roles/{role}", **fields, default_ttl=ttl, max_ttl=max_ttl)
        return f"{mount}/creds/{role}"

    def leases(self, path: str) -> list[str]:
        """Return the ids, without `path`, of the leases that are alive below `path`."""
        try:
            found: list[str] = self.call("LIST", f"sys/leases/lookup/{path}")["data"]["keys"]
        except Refused as refused:
            if refused.status == 404:
                return []
            raise
        return found

    def revoke_lease(self, lease: str) -> None:
        self.call("PUT", "sys/leases/revoke", {"lease_id": lease, "sync": True})

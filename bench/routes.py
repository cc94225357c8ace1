"""The routes.yaml files of the scenarios, as text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

API_KEY = "bench-key"  # opens nothing but the bench's own gateway
KEY_HEADER = {"X-Api-Key": API_KEY}
ISSUER = "https://sso.example.com/application/o/brain/"
AUDIENCE = "brain"
HEADERS = {"X-User-Id": "sub", "X-Tenant-Id": "tenant_id", "X-User-Email": "email"}
"""What an upstream is told of the caller, by claim."""

SPREAD = 10  # services that a load over many goes through


def head(listen: int, admin: int, folder: Path) -> str:
    """All clients of the bench come from one address: its share of connections is raised."""
    return f"""version: 1
gateway:
  listen: 127.0.0.1:{listen}
  admin: 127.0.0.1:{admin}
  control: {folder / "brain.sock"}
  limits: {{connections: 4096, per_address: 4096}}
log: {{level: warning}}
"""


def logging_chain(file: Path) -> str:
    return f"plugins: [request-id, {{access-log: {{file: {file}}}}}, metrics]\n"


def guarding_chain(file: Path, key: Path) -> str:
    """The platform's chain: who calls is known by a token, counted, and told to the upstream."""
    headers = ", ".join(f'{header}: "${{claims.{claim}}}"' for header, claim in HEADERS.items())
    return f"""plugins:
  - request-id
  - access-log: {{file: {file}}}
  - metrics
  - jwt:
      issuer: {ISSUER}
      audience: {AUDIENCE}
      key_file: {key}
  - rate-limit: {{key: principal, limits: 1000000/s}}
  - identity-headers: {{headers: {{{headers}}}}}
"""


def closed_service(upstream: int) -> str:
    """One service that says nothing of who may call: its chain asks."""
    return f"services:\n  api: http://127.0.0.1:{upstream}\n"


def of_tenant(upstream: int, folder: Path, credential: str) -> str:
    """One service behind an API key of a tenant, perhaps with ``credential``; secrets are files."""
    digest = hashlib.sha256(API_KEY.encode()).hexdigest()
    return f"""secrets: {{file: {{path: {folder}}}}}
plugins: [{{api-key: {{keys: [{{name: bench, tenant: acme, sha256: {digest}}}]}}}}]
services:
  api:
    upstream: http://127.0.0.1:{upstream}
    plugins: [{credential}]
"""


def one_service(upstream: int) -> str:
    """Public, and open to uploads beyond the default of 10 MiB."""
    return f"""services:
  api:
    upstream: http://127.0.0.1:{upstream}
    public: true
    limits: {{request_body: 2GiB}}
"""


def guarded_service(upstreams: Sequence[int]) -> str:
    """The same, balanced over targets that are checked, judged by their answers, and tried again."""
    targets = ", ".join(f"http://127.0.0.1:{port}" for port in upstreams)
    return f"""services:
  api:
    upstream:
      targets: [{targets}]
      balance: least-requests
      health: {{path: /json, interval: 1s, timeout: 1s}}
      outliers: true
      breaker: true
    retry: {{attempts: 2, statuses: [502, 503, 504], budget: 20%}}
    public: true
    limits: {{request_body: 2GiB}}
"""


def hanging_beside(upstream: int, hanging: int, most: int) -> str:
    """One service like that of ``one_service``, and one that ``most`` requests may hang in."""
    beside = f"""  hanging:
    upstream: {{url: "http://127.0.0.1:{hanging}", concurrent: {most}}}
    timeouts: {{response: 1h}}
    public: true
"""
    return one_service(upstream) + beside


def _api_key() -> str:
    digest = hashlib.sha256(API_KEY.encode()).hexdigest()
    return f"plugins: [{{api-key: {{keys: [{{name: bench, sha256: {digest}}}]}}}}]\nservices:\n"


def one_liners(count: int, upstream: int) -> str:
    """``count`` services ``s0 …``, each one line, behind one API key."""
    lines = (f"  s{number}: http://127.0.0.1:{upstream}\n" for number in range(count))
    return _api_key() + "".join(lines)


def with_options(count: int, upstream: int) -> str:
    """``count`` services that each set timeouts, limits, a route and a plugin with options."""
    return _api_key() + "".join(_with_options(number, upstream) for number in range(count))


def _with_options(number: int, upstream: int) -> str:
    return f"""  s{number}:
    upstream: http://127.0.0.1:{upstream}/s{number}
    timeouts: {{connect: 1s, response: 10s}}
    limits: {{request_body: 1MiB}}
    plugins:
      - headers: {{response: {{set: {{X-Service: s{number}}}}}}}
    routes:
      - match: {{method: GET, path: /open/*}}
        public: true
"""


def spread(count: int) -> tuple[str, ...]:
    """Ten paths, evenly over ``count`` services. Ten, however many services there are: each has its
    own pool, and a load over thousands of pools would measure the opening of connections."""
    return tuple(f"/api/brain/s{number}/json" for number in range(0, count, count // SPREAD))


def marked(revision: int, upstream: int) -> str:
    """One more service, whose answer ``/mark/REVISION`` tells which revision serves."""
    return (
        f"""  mark: {{upstream: "http://127.0.0.1:{upstream}/mark/{revision}", public: true}}\n"""
    )

"""The scenarios, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.lab import Lab
from bench.scenarios import (
    caching,
    chain,
    checking,
    credentials,
    drain,
    guarding,
    hanging,
    holding,
    idle,
    load,
    routes,
    stall,
    start,
    streams,
    workers,
)
from bench.section import Section


@dataclass(frozen=True)
class Scenario:
    name: str
    about: str
    run: Callable[[Lab], Section]


ALL = (
    Scenario("small", "95-byte JSON answer, 32 keep-alive connections", load.small),
    Scenario("logged", "the same with request ids, an access log to a file, metrics", load.logged),
    Scenario(
        "guarded", "the same with a token: jwt, rate-limit, identity-headers", guarding.guards
    ),
    Scenario(
        "credentials", "a tenant's cached credential, CPU per request", credentials.credentials
    ),
    Scenario("post", "10 KiB POST, echoed", load.post),
    Scenario("download", "1 MiB download, CPU per byte", load.download),
    Scenario("routes", "10,000 services against 10", routes.services),
    Scenario("cache", "95-byte JSON answer from the plugin's memory", caching.cache),
    Scenario("holds", "three watched targets against a plain one, CPU per request", holding.holds),
    Scenario("hanging", "p99 beside 1,000 requests that hang in another upstream", hanging.hangs),
    Scenario("workers", "two workers against one process", workers.workers),
    Scenario("chain", "what a plugin that does nothing adds", chain.chain),
    Scenario("idle", "memory held by 1,000 idle connections", idle.idle),
    Scenario("streams", "1 GiB down and up; 100 slow readers: growth of memory", streams.streams),
    Scenario("check", "brain check of 10,000 services", checking.check),
    Scenario("stall", "how long a reload of 10,000 services stops the loop", stall.stall),
    Scenario("start", "time and memory to ready with the shipped file", start.start),
    Scenario("drain", "200 reloads under load and one SIGTERM", drain.drain),
)

"""The `gateway:` and `log:` sections: the process itself."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from proxy.config.addresses import parse_listen, parse_network
from proxy.config.codes import Code
from proxy.config.models import Address, Exposure, Gateway, ListenerTls, Log
from proxy.config.settings import Block, Blocks, block_schema
from proxy.config.work import Work

_PRIVATE = tuple(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
_DEFAULT = Gateway()
_SAID_OPENLY = {
    "ready": "names of services and what is wrong",
    "metrics": "names of services and traffic",
}


def compile_gateway(work: Work) -> Gateway:
    """Return the process's settings; where a part is wrong, its default, for the rest to go on."""
    known = block_schema("gateway")["properties"]
    given = {key: value for key in known if (value := work.get("gateway", key)) is not None}
    gateway = Gateway(
        control=_control(work, given.get("control")),
        state_dir=_state_dir(work, given.get("state_dir")),
        base_path=given.get("base_path", _DEFAULT.base_path).removesuffix("/"),
        trusted_proxies=_trusted(work, given.get("trusted_proxies", ())),
        ready_requires=tuple(given.get("ready_requires", ())),
        tls=_tls(work, given.get("tls")),
        admin=_admin(work, given.get("admin")),
        expose=_expose(work, given.get("expose", {})),
        workers=given.get("workers", 1),
        limits=_merged(_DEFAULT.limits, "limits", given),
        timeouts=_merged(_DEFAULT.timeouts, "timeouts", given),
        shutdown=_merged(_DEFAULT.shutdown, "shutdown", given),
        recent=_merged(_DEFAULT.recent, "recent", given),
    )
    return replace(gateway, listen=parse_listen(given["listen"])) if "listen" in given else gateway


def _merged(default: Block, name: str, given: dict[str, Any]) -> Block:
    return Blocks().merged(default, block_schema("gateway", name), given.get(name))


def compile_log(work: Work) -> Log:
    """Return what the process writes about itself."""
    given = {name: value for name in ("format", "level") if (value := work.get("log", name))}
    return Log(**given)


def _control(work: Work, given: str | None) -> str:
    if given is None:
        return f"{work.environment.get('XDG_RUNTIME_DIR') or '/tmp'}/brain.sock"  # noqa: S108  0600, as documented
    return work.relative(("gateway", "control"), given)


def _state_dir(work: Work, given: str | None) -> str | None:
    """An empty text, which the environment may leave, keeps nothing."""
    return work.relative(("gateway", "state_dir"), given) if given else None


def _tls(work: Work, given: dict[str, str] | None) -> ListenerTls | None:
    if given is None:
        return None
    return ListenerTls(
        *(work.file(("gateway", "tls", part), given[part]) for part in ("cert", "key"))
    )


def _admin(work: Work, given: str | bool | None) -> Address | None:
    if given is None:
        return _DEFAULT.admin
    if given is False or given == "off":
        return None
    address = parse_listen(str(given))
    if address.host != "localhost" and not _is_loopback(address.host):
        message = "the admin listener shows the configuration to whoever reaches this address"
        work.report.warn(
            Code.EXPOSED,
            message,
            work.value("gateway", "admin"),
            "127.0.0.1 is for this machine alone",
        )
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _trusted(work: Work, given: list[str] | tuple[()]) -> tuple[str, ...]:
    networks = [parse_network(text) for text in given]
    for index, network in enumerate(networks):
        if why := _too_wide(network):
            span = work.value("gateway", "trusted_proxies", index)
            message = f"trusted_proxies holds {why}: all inside can claim any client address"
            work.report.warn(Code.TRUST, message, span, "name the edge's own addresses")
    return tuple(str(network) for network in networks)


def _too_wide(network: IPv4Network | IPv6Network) -> str | None:
    if network.prefixlen == 0:
        return "every address"
    for private in _PRIVATE:
        if network.version == private.version and private.subnet_of(network):  # type: ignore[arg-type]
            return "a whole private range"
    return None


def _expose(work: Work, given: dict[str, Any]) -> dict[str, Exposure | tuple[str, ...]]:
    exposed = {
        page: _exposure(value)
        for page, value in given.items()
        if page in {"health", "ready", "metrics"}
    }
    for page, who in exposed.items():
        if who is Exposure.ANY and page in _SAID_OPENLY:
            message = f"anyone can read /{page}: {_SAID_OPENLY[page]}"
            work.report.warn(
                Code.EXPOSED,
                message,
                work.value("gateway", "expose", page),
                "'private' is narrower",
            )
    return exposed


def _exposure(value: Any) -> Exposure | tuple[str, ...]:
    if value in {known.value for known in Exposure} if isinstance(value, str) else False:
        return Exposure(value)
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(str(parse_network(part)) for part in parts)

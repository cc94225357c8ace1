"""What is known of one request in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.config.models import Place, RouteSpec
from proxy.errors import GatewayError
from proxy.explaining.chain import Step
from proxy.explaining.matching import Rival
from proxy.explaining.origins import Origin
from proxy.explaining.question import Question
from proxy.explaining.retries import Retry
from proxy.explaining.sending import Outgoing
from proxy.explaining.settings import Setting
from proxy.explaining.shaping import Mirrored, Parted
from proxy.plugin.exchange import Client
from proxy.plugin.principal import Principal

if TYPE_CHECKING:
    from proxy.runtime.router import Candidate


@dataclass(frozen=True, slots=True)
class Taken:
    """The route that takes the request. `access` says who decided whether it is public.

    `values` are the segments that `{name}` stands for; `targets` tells where each is written of the
    upstream that gets the request.
    """

    candidate: Candidate
    fallback: bool
    authenticators: tuple[str, ...]
    access: Origin
    values: Mapping[str, str]
    targets: tuple[Place | None, ...]
    settings: tuple[Setting, ...]
    split: Parted | None = None
    mirror: Mirrored | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Values are as they are: `told.as_json` hides what nobody may read.

    `path` is the canonical view, None for a refused path; `method` what routes are asked for, of a
    preflight that of its real request. `answer` is what the gateway would say itself, None where the
    answer is a page of its own (`page`) or the upstream's. `plugin_page` says that a plugin may serve
    a page here, of which only its setup would tell. `rivals` have the winner among them.
    """

    question: Question
    client: Client
    path: str | None
    method: str
    answer: GatewayError | None
    page: bool
    plugin_page: bool
    taken: Taken | None
    rivals: tuple[Rival, ...]
    nearest: RouteSpec | None
    principal: Principal | None
    chain: tuple[Step, ...]
    outgoing: Outgoing | None
    retries: tuple[Retry, ...]

"""One copy of one request, from the original's start to the comparison of both answers.

It is told what goes by and holds no reference to the request: it may outlive it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.config.models import Compare
from proxy.errors import GatewayError
from proxy.runtime.comparing import Seen, Verdict, compared
from proxy.runtime.refusal import forget_frames

if TYPE_CHECKING:
    from proxy.plugin.answer import Answer
    from proxy.plugin.exchange import Exchange
    from proxy.runtime.mirror import Mirror
    from proxy.server.request import Request

log = logging.getLogger("brain.mirror")

AT_ONCE = 16 * 1024
"""Bytes of a body that are compared on the loop: a thread costs more than they do."""


@dataclass(frozen=True, slots=True)
class Message:
    """A copy as it is sent; `host` is None for the target's own, `fields` are finished lines."""

    method: str
    target: str
    host: str | None
    fields: bytes
    body: bytes
    request_id: str


class Kept:
    """A tap that keeps a body of at most `limit` bytes."""

    __slots__ = ("_left", "_parts", "ended")

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._parts: list[bytes] = []
        self.ended = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._left -= len(data)
        if self._left >= 0:
            self._parts.append(data)
        else:
            self._parts.clear()

    def end(self) -> None:
        """Know that this was all."""
        self.ended = True

    @property
    def too_large(self) -> bool:
        """Whether it is given up."""
        return self._left < 0

    @property
    def whole(self) -> bytes | None:
        """The body, None where it is too large or not all here."""
        return b"".join(self._parts) if self.ended and not self.too_large else None


class OriginalBody(Kept):
    """The original answer's body; `known` ends with it, or with the hope for it."""

    __slots__ = ("known",)

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.known: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        super().feed(data)
        if self.too_large:
            self.settle()

    def end(self) -> None:
        """Know that this was all."""
        super().end()
        self.settle()

    def settle(self) -> None:
        """Let nobody wait any longer."""
        if not self.known.done():
            self.known.set_result(None)


class Copy:
    """A copy of one request. It takes one of its mirror's places until it is over."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._decided = False
        self._status = 0
        self._coding: str | None = None
        self.body = Kept(mirror.spec.body)
        self._original = OriginalBody(mirror.spec.answer)
        mirror.in_flight += 1

    # -- what the original's way tells

    def answered(self, request: Request, answer: Answer) -> Answer:
        """Send the copy: the upstream has answered the original. Return its answer; raises nothing."""
        if self._decided:
            return answer
        self._decided = True
        try:
            message = self._message(request, answer)
        except Exception:
            log.exception("no copy for route '%s'", request.exchange.route.name)
            message = None
        if message is None:
            self._mirror.in_flight -= 1
        else:
            self._mirror.tasks.spawn(self._run(message), name="mirror")
        return answer

    def over(self, _exchange: Exchange) -> None:
        """Know that the original is over, whatever became of it."""
        if not self._decided:
            self._decided = True
            self._mirror.in_flight -= 1
        self._original.settle()

    def _message(self, request: Request, answer: Answer) -> Message | None:
        body = self.body.whole
        if body is None:
            self._mirror.count("skipped-body")
            return None
        self._status = answer.status
        if self._mirror.spec.compare is Compare.JSON:
            self._coding = answer.header("Content-Encoding")
            if (answer.header("Content-Type") or "").lower().startswith("text/event-stream"):
                self._original.settle()
            else:
                answer.tap(self._original)
        return self._mirror.message(request, body)

    # -- the copy itself

    async def _run(self, message: Message) -> None:
        mirror = self._mirror
        try:
            theirs, verdict = await self._result(message)
            mirror.count(verdict.result)
            if verdict.result.startswith("different"):
                mirror.tell(message, self._status, theirs, verdict)
        finally:
            mirror.in_flight -= 1

    async def _result(self, message: Message) -> tuple[int, Verdict]:
        theirs: Seen | None = None
        try:
            async with asyncio.timeout(self._mirror.spec.timeout):
                theirs = await self._ask(message)
                return theirs.status, await self._compared(theirs)
        except TimeoutError:
            if theirs is not None:
                return theirs.status, Verdict("uncompared")
        except GatewayError as error:
            forget_frames(error)
            if error.code == "upstream_saturated":
                return 0, Verdict("skipped-busy")
        return 0, Verdict("failed")

    async def _ask(self, message: Message) -> Seen:
        answer = await self._mirror.caller.send(
            message.method, message.target, message.host, message.fields, message.body
        )
        body = Kept(self._mirror.spec.answer)
        try:
            async for chunk in answer.body:
                body.feed(chunk)
                if body.too_large:
                    break
            else:
                body.end()
        finally:
            answer.close()
        return Seen(answer.status, body.whole, answer.header("Content-Encoding"))

    async def _compared(self, theirs: Seen) -> Verdict:
        spec = self._mirror.spec
        if spec.compare is Compare.NOTHING:
            return Verdict("sent")
        ours = Seen(self._status)
        if spec.compare is Compare.JSON and theirs.status == self._status:
            await self._original.known
            ours = Seen(self._status, self._original.whole, self._coding)
        pair = ours, theirs, spec.compare, spec.ignore, spec.answer
        if max(len(ours.body or b""), len(theirs.body or b"")) <= AT_ONCE:
            return compared(*pair)
        return await asyncio.to_thread(compared, *pair)

"""Counting in a store that all gateways share: one script, one round trip for all windows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from plugins.rate_limit.here import Verdict
from plugins.rate_limit.windows import SLACK, Window, left
from proxy import Store

SCRIPT = """
-- KEYS: a key's state for each window. ARGV: step and most of each, in seconds.
-- The server's clock is everybody's: two gateways' own may differ by more than a window.
local time = redis.call('TIME')
-- Near its own beginning a double has a resolution of nanoseconds.
local now = (time[1] - 1700000000) + time[2] / 1000000
local spent, wait = {}, 0
for i = 1, #KEYS do
  local arrival = tonumber(redis.call('GET', KEYS[i]) or 0)
  spent[i] = math.max(arrival - now, 0)
  wait = math.max(wait, spent[i] + ARGV[2 * i - 1] - ARGV[2 * i])
end
if wait <= 0 then
  for i = 1, #KEYS do
    spent[i] = spent[i] + ARGV[2 * i - 1]
    redis.call('SET', KEYS[i], string.format('%.9f', now + spent[i]),
      'PX', string.format('%.0f', math.ceil(spent[i] * 1000)))
  end
end
local told = {string.format('%.9f', wait)}
for i = 1, #KEYS do told[i + 1] = string.format('%.9f', spent[i]) end
return told
"""


class Shared:
    """Windows whose state is in a store. `scope` keeps their keys from those of other entries."""

    def __init__(self, store: Store, windows: Sequence[Window], scope: str) -> None:
        self._store = store
        self._windows = windows
        self._scope = f"{scope}\0".encode()
        # One server of a cluster has them all: what is in braces says which.
        self._ends = [f"}}:{window.key}" for window in windows]
        self._args = [
            given
            for window in windows
            for given in (repr(window.step), repr(window.span + window.step * SLACK))
        ]

    async def take(self, key: str) -> Verdict:
        """Admit a request, or say how long to wait. Raises Unavailable."""
        given = self._scope + key.encode("utf-8", "surrogatepass")
        head = f"brain:limit:{{{hashlib.blake2b(given, digest_size=16).hexdigest()}"
        keys = [head + end for end in self._ends]
        wait, *spent = map(float, await self._store.run(SCRIPT, keys, self._args))
        return max(wait, 0.0), left(self._windows, spent)

"""New ids, and which traces are sampled."""

from __future__ import annotations

from random import Random

_LOW = 1 << 64


class Ids:
    """Makes ids of a trace and of a span: lower-case hexadecimal, never all zeros.

    The generator is seeded by the operating system and no cryptographic one: ids are names, never
    secrets.
    """

    __slots__ = ("_bits",)

    def __init__(self, random: Random | None = None) -> None:
        self._bits = (random or Random()).getrandbits  # noqa: S311  see the docstring

    def trace(self) -> str:
        """Return 32 digits."""
        return f"{self._bits(128) or 1:032x}"

    def span(self) -> str:
        """Return 16 digits."""
        return f"{self._bits(64) or 1:016x}"


class Sampler:
    """Chooses a share of new traces by their ids, as OpenTelemetry's TraceIdRatioBased does.

    So gateways with the same share choose the same traces. `share` is 0.0 to 1.0.
    """

    __slots__ = ("_bound",)

    def __init__(self, share: float) -> None:
        bound = round(share * _LOW)
        # Texts of as many digits compare as their numbers do; all of them come before this letter.
        self._bound = f"{bound:016x}" if bound < _LOW else "g"

    def takes(self, trace_id: str) -> bool:
        """Tell whether a trace is sampled."""
        return trace_id[16:] < self._bound

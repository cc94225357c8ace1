"""The three deeds on a JSON document, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from plugins.body_transform.document import Document
from plugins.body_transform.pointers import Pointer, parse
from plugins.body_transform.values import Value
from proxy import Problems

Text = Callable[[Value], str | None]
"""Gives a value's JSON text for this request, None to leave it out."""

Put = Sequence[tuple[Pointer, str]]
"""What is set on one message: places and JSON texts."""


class Edits:
    """What is removed, renamed and set. Pointers that can't be read are told by `check` alone."""

    def __init__(
        self,
        *,
        set: Mapping[str, Any],  # noqa: A002  the option's name
        remove: Sequence[str],
        rename: Mapping[str, str],
    ) -> None:
        self._values = {at: Value(given) for at, given in set.items()}
        self._remove = tuple(remove)
        self._rename = dict(rename)
        self._set_at = [(_read(at), value) for at, value in self._values.items()]
        self._removed = [_read(at) for at in remove]
        self._moved = [(_read(old), _read(new)) for old, new in rename.items()]

    def __bool__(self) -> bool:
        return bool(self._values or self._remove or self._rename)

    def values(self, text: Text) -> Put:
        """Return what is to be set, before anything is changed. Raises what `text` raises."""
        written = [(pointer, text(value)) for pointer, value in self._set_at]
        return [(pointer, value) for pointer, value in written if value is not None]

    def apply(self, document: Document, values: Put) -> bool:
        """Edit `document`; tell whether anything is another than before. Raises Misfit.

        All that is renamed is taken out before any of it is put back: two names can be swapped.
        """
        changed = False
        for pointer in self._removed:
            changed |= document.take(pointer) is not None
        taken = [(new, document.take(old)) for old, new in self._moved]
        for pointer, moved in taken:
            if moved is not None:
                document.put(pointer, moved)
                changed = True
        for pointer, value in values:
            changed |= document.put(pointer, value)
        return changed

    def check(self, problems: Problems, option: str) -> None:
        for place, at in self._pointers():
            try:
                parse(at)
            except ValueError as error:
                problems.add(f"{option}.{place}", f"'{at}': {error}")
        self._check_targets(problems, option)

    def explain(self, whose: str) -> Iterator[str]:
        for at in self._remove:
            yield f"removes {at} from the {whose}"
        for old, new in self._rename.items():
            yield f"renames {old} to {new} in the {whose}"
        for at, value in self._values.items():
            yield f"sets {at} to {value} in the {whose}"

    def _pointers(self) -> Iterator[tuple[str, str]]:
        yield from ((f"set.{at}", at) for at in self._values)
        yield from ((f"remove.{index}", at) for index, at in enumerate(self._remove))
        yield from ((f"rename.{old}", old) for old in self._rename)
        yield from ((f"rename.{old}", new) for old, new in self._rename.items())

    def _check_targets(self, problems: Problems, option: str) -> None:
        """Report a renaming whose outcome something else here would overwrite."""
        targets: set[str] = set()
        for old, new in self._rename.items():
            place = f"{option}.rename.{old}"
            if new == old:
                problems.add(place, f"'{old}' is renamed to itself")
            elif new in self._values:
                problems.add(place, f"'{new}' is also set, which would replace it")
            elif new in targets:
                problems.add(place, f"two fields are renamed to '{new}'")
            targets.add(new)


def _read(at: str) -> Pointer:
    try:
        return parse(at)
    except ValueError:
        return ("",)  # `check` refuses the load

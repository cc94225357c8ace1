"""The error codes as a TypeScript module, which a frontend copies and imports.

Only types, constants and functions whose types can be stripped: every bundler takes it, and so does
node. It asks for `strict`, ES2015 and no library.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from proxy.codes import TYPE, Side
from proxy.version import VERSION

Row = Mapping[str, Any]

PROBLEM: Mapping[str, tuple[str, str]] = {
    "type": (f"`{TYPE}${{string}}`", "What marks an error as the gateway's; the code follows."),
    "title": ("string", "What the status means, the same for all errors with this status."),
    "status": ("number", "The answer's status."),
    "detail": ("string", "One sentence, in English, that may be shown to people."),
    "message": ("string", "Equal to `detail`."),
    "code": (
        "ErrorCode | (string & {})",
        "An ErrorCode, or a code of a plugin that did not come with the gateway.",
    ),
    "request_id": (
        "string",
        "Equal to the X-Request-Id header; empty where the plugin request-id is not in use.",
    ),
    "service": ("string | null", "The service that was asked; null where no route was found."),
    "retryable": ("boolean", "Whether the same request may succeed later."),
}
"""The keys of a problem body (RFC 9457), each with its type and what it says."""

_INFO = ("status", "title", "side", "stage", "retryable", "detail")

_TEXT = """\
// What the errors of Brain Gateway {version} mean. Made by 'brain errors --typescript': do not edit.

/** The code of an error that the gateway raises, or a plugin that comes with it. */
export type ErrorCode =
{codes};

/** Whose fault an error is. */
export type Side = {sides};

/** Where on the way of a request an error happened. */
export type Stage =
{stages};

/** What a code means. */
export interface ErrorInfo {{
  readonly status: number;
  readonly title: string;
  readonly side: Side;
  readonly stage: Stage;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** What the body says unless the error has a better sentence. */
  readonly detail: string;
}}

/** The body of an error that the gateway itself answers (RFC 9457, application/problem+json). */
export interface Problem {{
{problem}
}}

/** What each code means. The line above it says what to do. */
export const errors: Readonly<Record<ErrorCode, ErrorInfo>> = {{
{errors}
}};

/** Tell whether a code is one of this table: `errors[code]` is there then. */
export function isErrorCode(code: string): code is ErrorCode {{
  return Object.prototype.hasOwnProperty.call(errors, code);
}}

/** Tell whether a parsed body is an error of the gateway, and not one that a service answered. */
export function isProblem(value: unknown): value is Problem {{
  if (typeof value !== "object" || value === null) return false;
  const body = value as {{ readonly [Key in keyof Problem]?: unknown }};
  return (
{tests}
  );
}}
"""

_TESTS = {
    "string": 'typeof body.{key} === "string"',
    "number": 'typeof body.{key} === "number"',
    "boolean": 'typeof body.{key} === "boolean"',
    "string | null": '(typeof body.{key} === "string" || body.{key} === null)',
}


def module(rows: Sequence[Row]) -> str:
    """Return the module's text. `rows` are those of `brain errors --json`."""
    return _TEXT.format(
        version=VERSION,
        codes=_union(sorted(row["code"] for row in rows)),
        sides=" | ".join(json.dumps(side.value) for side in Side),
        stages=_union(sorted({row["stage"] for row in rows})),
        problem="\n".join(
            f"  /** {said} */\n  readonly {key}: {kind};" for key, (kind, said) in PROBLEM.items()
        ),
        errors="\n".join(map(_entry, rows)),
        tests=" &&\n".join(f"    {_test(key, kind)}" for key, (kind, _) in PROBLEM.items()),
    )


def _union(names: Iterable[str]) -> str:
    return "\n".join(f"  | {json.dumps(name)}" for name in names)


def _entry(row: Row) -> str:
    values = ", ".join(f"{key}: {json.dumps(row[key])}" for key in _INFO)
    return f"  // {row['remedy']}\n  {row['code']}: {{ {values} }},"


def _test(key: str, kind: str) -> str:
    if key == "type":
        return f'typeof body.type === "string" && body.type.indexOf({json.dumps(TYPE)}) === 0'
    return _TESTS.get(kind, _TESTS["string"]).format(key=key)

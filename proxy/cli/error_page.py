"""The error codes as a page of Markdown: docs/errors.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

_TEXT = """\
# Error codes

<!-- Made by `brain errors --markdown > docs/errors.md` of proxy/codes.py and proxy/config/codes.py. -->

An error that the gateway answers itself has one body (RFC 9457, `application/problem+json`) and one
code. The same code stands in `code` of the body, behind `details=` in `Proxy-Status`, in `code` of
the access log and in the label `code` of the metrics. What a service answers, its errors included,
is relayed as it is: the `type` of its body does not begin with `urn:brain-gateway:error:`.

- **again** says whether the same request may succeed later (`retryable` in the body). A 503 has a
  `Retry-After`.
- Where the caller has left, or the answer has begun, nothing can be told to it: the connection is
  broken off, and the code stands in log and metrics alone. So it is with `client_left`,
  `client_too_slow` and `cut_at_shutdown`, and with `upstream_reset_mid_body`,
  `upstream_body_timeout` and `stream_timeout` unless a plugin was reading the answer.
- A plugin that did not come with the gateway may have codes of its own: they have the same body, and
  no row here.

`brain errors CODE` prints one row, `brain errors` all of them, and with `--json` for scripts. A code
keeps its meaning.

## For frontends

`brain errors --typescript > errors.ts` makes a module: the codes as a type, what each means as a
constant, the body as an interface, and `isProblem`, which tells an error of the gateway from one
of a service.

```ts
import {{ errors, isErrorCode, isProblem }} from "./errors";

/** Return what to tell people, and whether a button "try again" makes sense. */
export async function explain(response: Response): Promise<{{ text: string; again: boolean }}> {{
  const body: unknown = await response.json().catch(() => null);
  if (!isProblem(body)) return {{ text: `The service answered ${{response.status}}.`, again: false }};
  if (isErrorCode(body.code) && errors[body.code].stage === "authenticate") {{
    return {{ text: "Please log in again.", again: false }};
  }}
  return {{ text: `${{body.detail}} (${{body.request_id}})`, again: body.retryable }};
}}
```

## On the caller's side

{client}

## On the service's side

{upstream}

## In the gateway

{gateway}

## In files

What `brain check` and a reload say of `routes.yaml`, each with its line. A warning is legal and
unwise; an error refuses the file, and a gateway that runs keeps what it has. `brain errors --config`
prints this table, and with `--json` for scripts; without `--config` it is left out.

{diagnostics}
"""


def page(rows: Sequence[Row], diagnostics: Sequence[Row]) -> str:
    """Return the page. `rows` and `diagnostics` are those of `brain errors --json`."""
    return _TEXT.format(
        **{side: _exchanges(rows, side) for side in ("client", "upstream", "gateway")},
        diagnostics=_table(
            ("code", "severity", "what is wrong", "what to do"),
            (
                (f"`{row['code']}`", row["severity"], _prose(row["meaning"]), _prose(row["remedy"]))
                for row in diagnostics
            ),
        ),
    )


def _exchanges(rows: Iterable[Row], side: str) -> str:
    return _table(
        ("code", "status", "stage", "again", "what clients read", "what to do"),
        (
            (
                f"`{row['code']}`",
                str(row["status"]),
                row["stage"],
                "yes" if row["retryable"] else "no",
                row["detail"],
                _prose(row["remedy"]),
            )
            for row in rows
            if row["side"] == side
        ),
    )


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


_QUOTED = re.compile(r"(?<!\w)'([^']+)'(?!\w)")
_KEY = re.compile(r"\b(?:gateway|limits|timeouts|upstream)(?:\.[a-z_]+)+")


def _prose(text: str) -> str:
    """Return a sentence with what is meant literally set as code."""
    return _KEY.sub(r"`\g<0>`", _QUOTED.sub(r"`\1`", text))

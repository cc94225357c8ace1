"""`basic` under attack: which names exist, who is kept out, and what a hash may cost."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.basic import Basic, checking
from plugins.basic.hashes import fault_of, matches
from plugins.basic.memory import MOST, Memory
from proxy import ConfigError
from proxy.testing import Called, call, make, running
from tests.plugins.test_basic import PASSWORD, argon2, by_bcrypt, options, sent

NAMES = [f"nobody{number}" for number in range(60)]
Checked = list[tuple[str, str]]


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Checked:
    """What was checked: hash and password. Nothing is good but `PASSWORD`, and that for anybody."""
    seen: Checked = []

    def check(text: str, password: str) -> bool:
        seen.append((text, password))
        return password == PASSWORD

    monkeypatch.setattr(checking, "matches", check)
    return seen


async def code(plugin: Basic, name: str, password: str) -> str:
    error = (await call(plugin, headers=sent(name, password))).answer.error
    return "" if error is None else error.code


# -- which names exist


async def test_unknown_names_are_checked_like_all_the_users_and_not_like_one(
    checked: Checked,
) -> None:
    async with running(Basic, options()) as plugin:
        for name in NAMES:
            assert await code(plugin, name, "w") == "credentials_invalid"
    counted = Counter(text for text, _ in checked)
    assert set(counted) == {argon2(), by_bcrypt("other")}
    assert min(counted.values()) > 10


async def test_a_restart_or_another_worker_checks_an_unknown_name_like_the_same_user(
    checked: Checked,
) -> None:
    for _ in range(2):
        async with running(Basic, options()) as plugin:
            for name in NAMES:
                await code(plugin, name, "w")
    assert checked[: len(NAMES)] == checked[len(NAMES) :]


async def test_an_unknown_name_with_somebodys_password_gets_what_a_wrong_one_gets(
    checked: Checked,
) -> None:
    async with running(Basic, options()) as plugin:
        for name in NAMES:
            for _ in range(2):
                assert await code(plugin, name, PASSWORD) == "credentials_invalid"
    assert len(checked) == 2 * len(NAMES)  # none was remembered for it


async def test_names_with_one_password_are_each_checked(checked: Checked) -> None:
    """Were they checked together, the answer of one who exists would come at another time."""
    async with running(Basic, options()) as plugin:
        asked = [call(plugin, headers=sent(name, "same")) for name in ("ops", "ci", *NAMES[:7])]
        await asyncio.gather(*asked)
    assert len(checked) == 9


async def test_what_bcrypt_can_not_read_is_refused_of_unknown_names_too(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs nothing: with a hash of another kind for unknown names, that would tell who exists."""
    monkeypatch.setattr(checking, "matches", matches)
    users = [{"name": "ci", "hash": by_bcrypt()}]
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: pytest.fail("it was checked"))
    async with running(Basic, {"users": users}) as plugin:
        for name in ("ci", "nobody"):
            assert await code(plugin, name, "x" * 73) == "credentials_invalid"


def test_bcrypt_takes_72_bytes_and_no_more() -> None:
    assert matches(by_bcrypt("x" * 72), "x" * 72)
    assert not matches(by_bcrypt("x" * 72), "x" * 73)


# -- who is kept out


class Timed(Basic):
    """With a clock of the test's own."""

    def __init__(self, **given: Any) -> None:
        self.clock = 0.0
        super().__init__(**given, now=lambda: self.clock)


async def test_who_goes_on_using_a_password_is_not_kept_out_by_a_flood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(
        checking, "matches", lambda _, password: password == PASSWORD or gate.wait(5) is None
    )
    async with running(Timed, options(remember="60s")) as plugin:
        assert (await call(plugin, headers=sent("ops", PASSWORD))).reached
        flood = [asyncio.ensure_future(call(plugin, headers=sent("x", f"w{n}"))) for n in range(30)]
        await asyncio.sleep(0.05)
        assert await code(plugin, "ci", PASSWORD) == "password_checks_busy"
        for _ in range(10):
            plugin.clock += 59
            assert (await call(plugin, headers=sent("ops", PASSWORD))).reached
        gate.set()
        await asyncio.gather(*flood)


async def test_a_new_hash_has_nobody_known(checked: Checked) -> None:
    store = {"tools/ops": {"hash": argon2()}}
    users = [{"name": "ops", "hash": {"secret": "tools/ops", "field": "hash"}}]
    async with running(Basic, {"users": users}, store=store) as plugin:
        for _ in range(3):
            assert (await call(plugin, headers=sent("ops", PASSWORD))).reached
        assert len(checked) == 1
        store["tools/ops"]["hash"] = by_bcrypt("new")
        await asyncio.sleep(0.2)
        await call(plugin, headers=sent("ops", PASSWORD))
        assert checked[1:] == [(by_bcrypt("new"), PASSWORD)]


def test_memory_is_bounded_and_forgets_what_is_not_used() -> None:
    clock = [0.0]
    memory = Memory(10, lambda: clock[0])
    digests = [memory.digest("hash", "ops", str(number)) for number in range(MOST + 1)]
    for digest in digests[:MOST]:
        memory.keep(digest)
    assert memory.knows(digests[0])  # used last, now
    memory.keep(digests[MOST])
    assert len(memory._until) == MOST
    assert memory.knows(digests[0])
    assert not memory.knows(digests[1])
    clock[0] = 10.0
    assert not memory.knows(digests[0])
    memory.keep(digests[0])
    assert len(memory._until) == 1


def test_memory_of_no_time_has_nothing() -> None:
    memory = Memory(0, lambda: 0.0)
    digest = memory.digest("hash", "ops", "pw")
    memory.keep(digest)
    assert not memory.knows(digest)
    assert memory._until == {}


def test_what_is_remembered_holds_no_password_and_is_of_one_process() -> None:
    one, two = (Memory(10, lambda: 0.0).digest("hash", "ops", "pw") for _ in range(2))
    assert one != two
    assert b"pw" not in one


@given(st.tuples(st.text(max_size=5), st.text(max_size=5)), st.tuples(st.text(), st.text()))
def test_what_stands_for_a_caller_stands_for_no_other(
    one: tuple[str, str], two: tuple[str, str]
) -> None:
    memory = Memory(10, lambda: 0.0)
    names = [(name.replace(":", ""), password) for name, password in (one, two)]
    digests = {memory.digest("hash", *each) for each in names}
    assert len(digests) == len(set(names))


# -- what is sent


@pytest.mark.parametrize(
    "value",
    [
        "Basic",
        "BASIC",
        "Basic\tb3BzOnB3",
        "Basic b3Bz OnB3",
        "Basic b3BzOnB3=",
        "Basic b3BzOnB3====",
        "Basic b3Bz-nB3",
        "Basic \u00e9",
        "Basic " + base64.b64encode(b"ops:a\x7f").decode(),
        "Basic " + base64.b64encode(b"ops:a\r\n").decode(),
        "Basic " + base64.b64encode("ops:\x85".encode()).decode(),
        "Basic " + base64.b64encode(b"ops:" + b"x" * 1021).decode(),
        "Basic " + base64.b64encode(b"ops\xed\xa0\x80:x").decode(),  # half a character
    ],
)
async def test_what_is_of_its_scheme_and_not_well_formed_is_bad(
    value: str, checked: Checked
) -> None:
    called: Called = await call(Basic, options=options(), headers={"Authorization": value})
    assert called.answer.error is not None
    assert called.answer.error.code == "credentials_invalid"
    assert checked == []


async def test_name_and_password_may_have_1024_bytes(checked: Checked) -> None:
    async with running(Basic, options()) as plugin:
        await code(plugin, "ops", "x" * 1020)
    assert checked == [(argon2(), "x" * 1020)]


@pytest.mark.parametrize(
    "password", ["", ":", "a:b:c", "p\u00e4ss\u4e16\U0001f511", " x ", "=" * 9]
)
async def test_a_password_is_all_behind_the_first_colon(password: str) -> None:
    users = [{"name": "\u00f6ps", "hash": argon2(password)}]
    called = await call(Basic, options={"users": users}, headers=sent("\u00f6ps", password))
    assert called.reached


# -- what a hash may cost

SALT, DIGEST = "c29tZXNhbHQxMg", "A" * 43


def argon(memory: int, rounds: int, lanes: int = 1, salt: str = SALT, digest: str = DIGEST) -> str:
    return f"$argon2id$v=19$m={memory},t={rounds},p={lanes}${salt}${digest}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (argon(47103, 1), "too cheap"),
        (argon(19455, 2), "too cheap"),
        (argon(12287, 3), "too cheap"),
        (argon(7167, 60), "too cheap"),
        (argon(262145, 1), "256 MiB"),
        (argon(262144, 5), "seconds"),
        (argon(19456, 999), "seconds"),
        (argon(65536, 3, 17), "17 threads"),
        (argon(65536, 3, 0), "no hash"),
        (argon(65536, 3, salt="c2FsdA"), "no hash"),
        (argon(65536, 3, digest="A" * 21), "no hash"),
        (argon(65536, 3, digest="A" * 41), "cut or mistyped"),
        (argon(65536, 3, digest="A" * 42 + "B"), "cut or mistyped"),
        (argon(65536, 3, salt="c29tZXNhbHQxMh"), "cut or mistyped"),
        ("$argon2id$v=19$m=019456,t=2,p=1$" + SALT + "$" + DIGEST, "no hash"),
        ("$argon2id$v=16$m=65536,t=3,p=1$" + SALT + "$" + DIGEST, "no hash"),
        (by_bcrypt()[:28] + "z" + by_bcrypt()[29:], "cut or mistyped"),
        (by_bcrypt()[:-1] + "D", "cut or mistyped"),
        (by_bcrypt()[:-1], "no hash"),
        (by_bcrypt().replace("$2b$10", "$2b$15"), "seconds"),
        (by_bcrypt().replace("$2b$", "$2x$"), "no hash"),
    ],
)
def test_a_hash_that_could_not_be_checked_or_not_often_is_refused(text: str, why: str) -> None:
    assert why in (fault_of(text) or "")


@pytest.mark.parametrize(
    "text",
    [argon(47104, 1), argon(19456, 2), argon(12288, 3), argon(7168, 5), argon(262144, 4, 16)],
)
def test_the_least_and_the_most_are_taken(text: str) -> None:
    assert fault_of(text) is None


@pytest.mark.parametrize("version", ["$2a$", "$2b$", "$2y$"])
def test_bcrypt_of_other_programs_is_taken(version: str) -> None:
    text = by_bcrypt().replace("$2b$", version)
    assert fault_of(text) is None
    assert matches(text, PASSWORD)


# -- what is there


async def test_a_hash_that_went_bad_is_told_and_lets_nobody_in() -> None:
    store = {"tools/ops": {"hash": argon2()}}
    users = [{"name": "ops", "hash": {"secret": "tools/ops", "field": "hash"}}]
    async with running(Basic, {"users": users}, store=store) as plugin:
        assert await plugin.ready() is None
        store["tools/ops"]["hash"] = "plain"
        await asyncio.sleep(0.2)
        told = await plugin.ready()
        assert told is not None
        assert "user 'ops'" in told
        assert "plain" not in told
        assert await code(plugin, "ops", "plain") == "secret_unavailable"
        del store["tools/ops"]["hash"]
        await asyncio.sleep(0.2)
        assert await plugin.ready()
        assert await code(plugin, "ops", PASSWORD) == "secret_unavailable"
        store["tools/ops"]["hash"] = argon2()
        await asyncio.sleep(0.2)
        assert await plugin.ready() is None
        assert (await call(plugin, headers=sent("ops", PASSWORD))).reached


@pytest.mark.parametrize("library", ["argon2", "bcrypt"])
async def test_without_a_library_the_load_names_the_extra(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=f"{library}, which is not installed") as refused:
        async with running(Basic, options()):
            pass
    assert "brain-gateway[basic]" in str(refused.value.hint)


async def test_a_realm_is_told_in_the_challenge() -> None:
    called = await call(Basic, options=options(realm="Tools, inside"))
    assert (
        called.answer.header("WWW-Authenticate") == 'Basic realm="Tools, inside", charset="UTF-8"'
    )


@pytest.mark.parametrize("realm", ['a"b', "a\\b", "a\r\nb", "\u00e4", "", "x" * 65])
def test_a_realm_that_would_break_out_of_its_quotes_is_refused(realm: str) -> None:
    with pytest.raises(Exception, match="realm"):
        make(Basic, options(realm=realm))


async def test_an_end_amid_checks_waits_for_them_and_fails_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gate, begun = threading.Event(), threading.Event()

    def slow(text: str, password: str) -> bool:
        begun.set()
        return gate.wait(5)

    monkeypatch.setattr(checking, "matches", slow)
    threads = _of_basic()
    async with running(Basic, options(checks=1)) as plugin:
        left = [asyncio.ensure_future(call(plugin, headers=sent("ops", str(n)))) for n in range(3)]
        await asyncio.to_thread(begun.wait, 5)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        asyncio.get_running_loop().call_later(0.05, gate.set)
    assert _of_basic() == threads
    assert "exception" not in caplog.text.lower()


def _of_basic() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("basic")]


@pytest.mark.skipif(sys.platform != "linux", reason="only there a thread has its own priority")
async def test_checks_stand_behind_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    nice: list[int] = []

    def look(text: str, password: str) -> bool:
        own = Path(f"/proc/self/task/{threading.get_native_id()}/stat").read_text()
        nice.append(int(own.rpartition(")")[2].split()[16]))
        return False

    monkeypatch.setattr(checking, "matches", look)
    async with running(Basic, options()) as plugin:
        await code(plugin, "ops", "w")
    mine = Path(f"/proc/self/task/{threading.get_native_id()}/stat").read_text()
    assert nice[0] > int(mine.rpartition(")")[2].split()[16])

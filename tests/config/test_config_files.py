"""Files that can't be read, and several files that make one configuration."""

import os
from pathlib import Path
from typing import Any

import pytest

from proxy.config import files as reading


def codes(loaded: Any) -> list[str]:
    return [each.code.value for each in loaded.diagnostics]


def messages(loaded: Any) -> list[str]:
    return [each.message for each in loaded.diagnostics]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "BG007", "the file is empty"),
        (b"# only a comment\n", "BG007", "the file is empty"),
        (b"~", "BG007", "the file is empty"),
        (b"- a\n- b\n", "BG101", "a mapping of keys"),
        (b"text", "BG101", "a mapping of keys"),
        (b"version: 1\nx: \xff\n", "BG002", "not UTF-8 (line 2)"),
        ("version: 1".encode("utf-16"), "BG002", "not UTF-8 (line 1)"),
        (b"version: 1\n\0", "BG002", "U+0000"),
        (b"a: \x1b[2J", "BG002", "U+001B"),
        (b"---\na: 1\n---\nb: 1\n", "BG003", "a second document"),
        (b"a: [1, 2\n", "BG003", "a '[' is opened here and not closed"),
        (b"a: {b: 1\n", "BG003", "a '{' is opened here and not closed"),
        (b"a: b: c\n", "BG003", "a ':' can't stand here"),
        (b"a:\n\tb: 1\n", "BG003", "a tab can't indent"),
        (b"a: 'x\n", "BG003", "a quote is opened"),
        (b"a: @x\n", "BG003", "can't begin with this character"),
        (b"a: *x\n", "BG003", "has no anchor"),
        (b"a: &x [*x]\n", "BG006", "inside of what it names"),
        (b"? [a]\n: b\n", "BG006", "a key must be text"),
        (b"a: &x b\n*x : c\n", "BG006", "a key can't be an alias"),
        (b"version: 1\nlog: !!python/object:os.system {}\n", "BG006", "tags are not allowed"),
        (b"[" * 3000, "BG004", "nested deeper"),
        (b"- " * 3000 + b"x", "BG004", "nested deeper"),
        (b"a: {b: ${X}}\n", "BG012", "must be quoted"),
        (b"a: [x, ${X}]\n", "BG012", "must be quoted"),
        (b"%YAML 3.0\n---\na: 1\n", "BG003", "not YAML"),
    ],
)
def test_a_file_that_is_no_configuration_gets_one_clear_diagnostic(
    write: Any, content: bytes, code: str, words: str
) -> None:
    write.file("routes.yaml", content)
    loaded = write.load()
    assert loaded.config is None
    assert codes(loaded)[0] == code
    assert words in messages(loaded)[0]
    assert len(loaded.diagnostics) == 1


def test_a_missing_file_a_folder_and_a_bad_name_are_told(write: Any, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert messages(write.load("nowhere.yaml")) == ["there is no such file"]
    assert messages(write.load("folder")) == ["this is a folder, not a file"]
    assert messages(write.load("a\0b")) == ["can't be read: not a file name"]


def test_a_refused_permission_is_worded(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_options: Any) -> None:
        raise PermissionError(13, "no")

    write.file("routes.yaml", "version: 1")
    monkeypatch.setattr(Path, "open", refuse)
    assert messages(write.load()) == ["no permission to read this file"]


def test_the_bound_on_size_is_one_for_all_files(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_BYTES", 30)
    write.file("a.yaml", "version: 1 # 456789\n")
    write.file("b.yaml", "version: 1 # 456789\n")
    assert write.load("a.yaml").config is not None
    assert codes(write.load("a.yaml", "b.yaml")) == ["BG004"]


@pytest.mark.parametrize("turns", [12, 40])
def test_an_alias_bomb_is_refused_before_it_is_expanded(write: Any, turns: int) -> None:
    lines = ["x-a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"x-a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, turns)]
    assert codes(write.text("\n".join(lines))) == ["BG004"]


def test_a_shared_block_may_be_used_by_thousands(write: Any) -> None:
    services = "".join(
        f"  s{n}: {{upstream: http://x, public: true, timeouts: *t}}\n" for n in range(2000)
    )
    loaded = write.text(f"version: 1\nx-t: &t {{idle: 5s}}\nservices:\n{services}")
    assert loaded.config is not None
    assert len({id(route.timeouts) for route in loaded.config.routes}) == 1


def test_merge_keys_do_not_explode(write: Any) -> None:
    lines = ["x-a0: &a0 {a: 1, b: 2}"]
    lines += [f"x-a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 15)]
    assert set(codes(write.text("version: 1\n" + "\n".join(lines)))) == {"BG006"}


def test_a_later_file_is_laid_over_the_earlier(write: Any) -> None:
    write.file(
        "routes.yaml",
        "version: 1\n"
        "log: {level: info, format: text}\n"
        "defaults: {timeouts: {connect: 1s, idle: 5s}}\n"
        "gateway: {trusted_proxies: [10.0.0.1], admin: off}\n"
        "services:\n"
        "  one: {upstream: http://one, public: true}\n"
        "  two: {upstream: http://two, public: true}\n",
    )
    write.file(
        "prod.yaml",
        "log: {level: warning}\n"
        "defaults: {timeouts: {connect: 3s}}\n"
        "gateway: {trusted_proxies: [10.0.0.2], admin: null}\n"
        "services: {two: null, one: {upstream: https://one.prod}}\n",
    )
    config = write.load("routes.yaml", "prod.yaml").config
    assert (config.log.level, config.log.format) == ("warning", "text")
    assert (config.routes[0].timeouts.connect, config.routes[0].timeouts.idle) == (3.0, 5.0)
    assert config.gateway.trusted_proxies == ("10.0.0.2/32",)
    assert str(config.gateway.admin) == "127.0.0.1:9901"
    assert [service.name for service in config.services] == ["one"]
    assert str(config.upstreams[0].targets[0]) == "https://one.prod"
    assert config.watched == ("routes.yaml", "prod.yaml")


def test_an_error_names_the_file_in_which_it_stands(write: Any) -> None:
    write.file("routes.yaml", "version: 1\nlog: {level: info}\n")
    write.file("prod.yaml", "\n\nlog: {level: loud}\n")
    rendered = write.load("routes.yaml", "prod.yaml").render()
    assert "--> prod.yaml:3:14" in rendered
    assert rendered.endswith("1 error in routes.yaml, prod.yaml (0 services)")


def test_fragments_add_services_and_routes(write: Any) -> None:
    write.file("etc/routes.yaml", "version: 1\ninclude: [routes.d/*.yaml, more.yaml]\n")
    write.file("etc/routes.d/b.yaml", "services: {b: {upstream: http://b, public: true}}\n")
    write.file(
        "etc/routes.d/a.yaml", "version: 1\nservices: {a: {upstream: http://a, public: true}}\n"
    )
    write.file(
        "etc/more.yaml", "routes: [{match: {path: /a}, upstream: service/a, public: true}]\n"
    )
    config = write.load("etc/routes.yaml").config
    assert [service.name for service in config.services] == ["a", "b"]
    assert [route.place.file for route in config.routes] == [
        "etc/routes.d/a.yaml",
        "etc/routes.d/b.yaml",
        "etc/more.yaml",
    ]
    assert config.watched == (
        "etc/routes.yaml",
        "etc/routes.d/a.yaml",
        "etc/routes.d/b.yaml",
        "etc/more.yaml",
    )


def test_a_name_defined_twice_is_told_with_both_lines(write: Any) -> None:
    write.file("routes.yaml", "version: 1\ninclude: [a.yaml]\nservices:\n  x: http://x\n")
    write.file("a.yaml", "services:\n\n  x: http://y\n")
    found = write.load().diagnostics
    told = next(each for each in found if each.code == "BG203")
    assert (str(told.span), told.hint) == ("a.yaml:3:3", "first at routes.yaml:4:3")


@pytest.mark.parametrize(
    ("fragment", "code", "words"),
    [
        ("gateway: {workers: 1}", "BG013", "'gateway' can't stand in an included file"),
        ("include: [b.yaml]", "BG013", "'include' can't stand"),
        ("services: []", "BG101", "differs in kind"),
        ("- x", "BG101", "must be a mapping"),
        ("services: {", "BG003", "missing"),
    ],
)
def test_a_fragment_holds_services_and_routes_only(
    write: Any, fragment: str, code: str, words: str
) -> None:
    write.file("routes.yaml", "version: 1\ninclude: [a.yaml]\nservices: {}\n")
    write.file("a.yaml", fragment)
    loaded = write.load()
    assert codes(loaded) == [code]
    assert words in messages(loaded)[0]


def test_an_included_file_that_is_missing_is_an_error_and_an_empty_pattern_is_none(
    write: Any,
) -> None:
    assert codes(write.text("version: 1\ninclude: [nowhere.yaml]")) == ["BG001"]
    assert codes(write.text("version: 1\ninclude: ['nowhere/*.yaml']")) == []


def test_a_missing_fragment_is_told_at_its_entry_and_hides_no_other_error(write: Any) -> None:
    found = write.errors("version: 1\ninclude:\n  - nowhere.yaml\nnope: 1\n")
    assert len(found) == 2
    assert found[0].startswith("BG001 3:5 ")
    assert found[0].endswith("nowhere.yaml' can't be included: there is no such file")
    assert found[1].startswith("BG103 4:1 unknown key 'nope'")


def test_a_service_that_a_missing_fragment_may_hold_is_not_told_as_unknown(write: Any) -> None:
    text = (
        "version: 1\ninclude: [nowhere.yaml]\n"
        "routes: [{match: {path: /x}, upstream: service/other, public: true}]\n"
    )
    assert [each[:5] for each in write.errors(text)] == ["BG001"]
    alone = text.replace("include: [nowhere.yaml]\n", "")
    assert [each[:5] for each in write.errors(alone)] == ["BG206"]


@pytest.mark.parametrize("pattern", ["routes.yaml", "./routes.yaml", "*.yaml"])
def test_a_file_that_includes_itself_is_told_so(write: Any, pattern: str) -> None:
    text = f"version: 1\ninclude: ['{pattern}']\nservices: {{a: {{upstream: http://a, public: true}}}}\n"
    assert write.errors(text) == ["BG013 2:11 the file includes itself"]


@pytest.mark.parametrize("included", [False, True])
def test_a_fifo_is_refused_instead_of_waiting_for_a_writer(
    write: Any, tmp_path: Path, included: bool
) -> None:
    os.mkfifo(tmp_path / "fifo")
    loaded = write.text("version: 1\ninclude: [fifo]") if included else write.load("fifo")
    assert messages(loaded) == ["this is no regular file"]


def test_include_may_come_from_the_environment(write: Any) -> None:
    write.file("a.yaml", "services: {a: {upstream: http://a, public: true}}")
    loaded = write.text("version: 1\ninclude: ${EXTRA}\n", EXTRA="a.yaml,")
    assert [service.name for service in loaded.config.services] == ["a"]


@pytest.mark.parametrize(
    ("pattern", "folders"),
    [
        ("routes.d/*.yaml", ("etc/routes.d",)),
        ("nowhere/deep/*.yaml", ("etc/nowhere/deep",)),
        ("*.part", ("etc",)),
        ("teams/*/routes.yaml", ("etc/teams", "etc/teams/a", "etc/teams/b")),
        (
            "teams/**/*.yaml",
            ("etc/teams", "etc/teams", "etc/teams/a", "etc/teams/a/x", "etc/teams/b"),
        ),
        ("routes.d/one.yaml", ()),
    ],
)
def test_folders_are_watched_where_a_new_file_would_be_included(
    write: Any, pattern: str, folders: tuple[str, ...]
) -> None:
    for name in ("etc/routes.d/one.yaml", "etc/teams/a/x/none.txt", "etc/teams/b/none.txt"):
        write.file(name, "version: 1\n")
    write.file("etc/routes.yaml", f"version: 1\ninclude: ['{pattern}']\n")
    config = write.load("etc/routes.yaml").config
    assert config.watched_folders == tuple(dict.fromkeys(folders))


def test_an_absolute_pattern_names_its_folder(write: Any, tmp_path: Path) -> None:
    config = write.text(f"version: 1\ninclude: ['{tmp_path}/more/*.yaml']\n").config
    assert config.watched_folders == (f"{tmp_path}/more",)


def test_a_service_is_placed_in_the_file_that_decides_its_upstream(write: Any) -> None:
    write.file(
        "one.yaml",
        "version: 1\nservices:\n"
        "  a: {upstream: http://a, public: true}\n"
        "  b: {upstream: {url: http://b, queue: 1}, public: true}\n"
        "  c: {upstream: {url: http://c}, public: true}\n"
        "  d: {upstream: http://d}\n"
        "fallback: {upstream: http://f, public: true}\n",
    )
    write.file(
        "two.yaml",
        "services:\n"
        "  a: {upstream: http://a2}\n"
        "  b: {upstream: {url: http://b2}}\n"
        "  c: {upstream: {queue: 5}}\n"
        "  d: {public: true}\n"
        "fallback: {upstream: http://f2}\n",
    )
    config = write.load("one.yaml", "two.yaml").config
    assert [str(service.place) for service in config.services] == [
        "two.yaml:2:7",
        "two.yaml:3:18",
        "one.yaml:5:3",
        "one.yaml:6:3",
    ]
    assert [route.place for route in config.routes] == [each.place for each in config.services]
    assert str(config.fallback.place) == "two.yaml:6:12"

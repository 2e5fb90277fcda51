"""What hosts say about being fetched: robots.txt, TDM reservations and ai.txt, obeyed and written down."""

from __future__ import annotations

import itertools
import json
import sqlite3
import time
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
from fetching import jpeg, write_selection
from misbehaving import RULES, Server, file, first, hang, raw, redirect, status
from test_fetch import ledger, read, settings
from test_fetch_faults import one

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.curate.fetch.faults import Fault
from bamkit.curate.fetch.http.politeness import HostLimiter
from bamkit.curate.fetch.http.scheduler import Scheduler
from bamkit.curate.fetch.ledger import Ledger, now, read_ledger
from bamkit.curate.fetch.rules.host import Pattern, reservations
from bamkit.curate.fetch.run import fetch
from bamkit.curate.fetch.settings import FetchSettings, Limits, Politeness

GOOD = jpeg(7)
ROBOTS, TDMREP, AI = RULES


def text(said):
    return file(said.encode(), "text/plain")


@pytest.fixture
def server():
    with Server() as running:
        running["/art/a.jpg"] = file(GOOD)
        running["/moved"] = redirect("/art/a.jpg")
        yield running


REFUSED = {
    "all": (ROBOTS, "User-agent: *\nDisallow: /", "robots-disallowed"),
    "our own group": (ROBOTS, "User-agent: *\nAllow: /\n\nUser-agent: BamKit\nDisallow: /art", "robots-disallowed"),
    "byte order mark": (ROBOTS, "\ufeffUser-agent: *\nDisallow: /", "robots-disallowed"),
    "at the end of 500 kB": (ROBOTS, "#" * 511_900 + "\nUser-agent: *\nDisallow: /\n" + "x" * 90, "robots-disallowed"),
    "reserved": (TDMREP, json.dumps([{"location": "/", "tdm-reservation": 1}]), "tdm-reserved"),
    "first rule": (
        TDMREP,
        json.dumps([{"location": "/art/*.jpg$", "tdm-reservation": 1}, {"location": "/", "tdm-reservation": 0}]),
        "tdm-reserved",
    ),
    "ai.txt": (AI, "User-Agent: *\nDisallow: *.jpg", "ai-disallowed"),
}  # fmt: skip
ALLOWED = {
    "another group": (ROBOTS, "User-agent: *\nDisallow: /\n\nUser-agent: bamkit\nAllow: /", "robots.txt allows it"),
    "the longer rule": (ROBOTS, "User-agent: *\nDisallow: /\nAllow: /art/", "robots.txt allows it"),
    "another robot's": (ROBOTS, "User-agent: otherbot\nDisallow: /", "robots.txt allows it"),
    "a page for everything": (ROBOTS, "<html>Disallow: /</html>", "robots.txt allows it"),
    "behind 500 kB": (ROBOTS, "#" * 512_000 + "\nUser-agent: *\nDisallow: /", "robots.txt allows it"),
    "not reserved": (
        TDMREP, json.dumps([{"location": "/art", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]),
        "no robots.txt; tdmrep.json: tdm-reservation 0",
    ),
    "no such file": (TDMREP, "[" * 100_000, "no robots.txt"),
    "another value": (TDMREP, json.dumps([{"location": "/", "tdm-reservation": "yes"}]), "no robots.txt"),
    "ai.txt of another kind": (AI, "# My app\nIt does this: and that", "no robots.txt; ai.txt allows it"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_address_that_is_off_limits_is_not_asked_for(server, tmp_path, name):
    path, said, fault = REFUSED[name]
    server[path] = text(said)
    with pytest.raises(Fault, match=fault) as raised:
        one(server, "/art/a.jpg", tmp_path)
    assert raised.value.rule == raised.value.detail
    assert server.log == []
    with pytest.raises(Fault, match=fault):
        one(server, "/moved", tmp_path)
    assert server.counts["/art/a.jpg"] == 0, "not behind a redirect either"


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_fetched(server, tmp_path, name):
    path, said, rule = ALLOWED[name]
    server[path] = text(said)
    assert one(server, "/art/a.jpg", tmp_path).rule == rule


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 429])
def test_a_host_without_robots_allows_everything(server, tmp_path, code):
    server[ROBOTS] = status(code)
    assert one(server, "/art/a.jpg", tmp_path).rule == "no robots.txt"


def test_redirects_of_robots_are_followed_up_to_five(server, tmp_path):
    server["/5"] = text("User-agent: *\nDisallow: /")
    server[ROBOTS] = redirect("/1")
    for number in range(1, 5):
        server[f"/{number}"] = redirect(f"/{number + 1}", 301)
    with pytest.raises(Fault, match="robots-disallowed"):
        one(server, "/art/a.jpg", tmp_path)
    server["/5"], server["/6"] = redirect("/6"), server.answers["/5"]
    assert one(server, "/art/a.jpg", tmp_path).rule == "no robots.txt"
    for nowhere in ("", "ftp://127.0.0.1/robots.txt"):
        server[ROBOTS] = redirect(nowhere)
        assert one(server, "/art/a.jpg", tmp_path).rule == "no robots.txt"


@pytest.mark.parametrize("answer", [status(500), hang])
def test_a_host_that_fails_to_answer_for_its_robots_is_off_limits_while_that_lasts(server, tmp_path, answer):
    server[ROBOTS] = answer
    write_selection(tmp_path, "happy", [server.url("/art/a.jpg"), server.url("/b")], 2)
    server["/b"] = file(jpeg(1))
    config = settings(limits=Limits(seconds=0.4), politeness=Politeness(attempts=1))
    with pytest.raises(BamkitError, match="not one picture"):
        fetch(Workspace(tmp_path), config=config)
    assert server.log == []
    assert {row["outcome"] for row in ledger(tmp_path).values()} <= {"robots-unavailable", "timeout"}
    server[ROBOTS] = status(404)
    fetch(Workspace(tmp_path), config=settings(retry=frozenset({"timeout"})))
    assert len(read(tmp_path, "happy", "train")) == 2


def test_files_other_than_robots_that_fail_reserve_nothing(server, tmp_path):
    server[TDMREP], server[AI] = status(500), hang
    started = time.monotonic()
    assert one(server, "/art/a.jpg", tmp_path, limits=Limits(seconds=0.5)).rule == "no robots.txt"
    assert time.monotonic() - started < 30  # the host hangs for 60


def test_all_of_it_is_written_down_and_each_host_is_asked_once_a_day(server, tmp_path, bamkit):
    server[ROBOTS] = text("User-agent: *\nDisallow: /private")
    server["/private/b.jpg"], server["/c.jpg"] = file(jpeg(1)), status(404)
    server["/d.jpg"] = file(jpeg(2), TDM_Reservation="1")
    server["/e.jpg"] = file(jpeg(3), TDM_Reservation="0")
    server["/f.jpg"] = raw(b"HTTP/1.1 200 OK\r\nno header\r\nX-Robots-Tag : noai\r\nContent-Length: 1\r\n\r\nx")
    paths = ("/art/a.jpg", "/private/b.jpg", "/c.jpg", "/d.jpg", "/e.jpg", "/f.jpg")
    write_selection(tmp_path, "happy", [server.url(path) for path in paths], 6)
    line = "fetch --allow-private --size 48"
    bamkit(line, cwd=tmp_path)
    rows = ledger(tmp_path)
    assert {name: (row["outcome"], row["rule"]) for name, row in rows.items()} == {
        "a.jpg": ("ok", "robots.txt allows it"),
        "b.jpg": ("robots-disallowed", "robots.txt disallows it"),
        "c.jpg": ("gone", "robots.txt allows it"),
        "d.jpg": ("tdm-reserved", "robots.txt allows it; TDM-Reservation: 1"),
        "e.jpg": ("ok", "robots.txt allows it; TDM-Reservation: 0"),
        "f.jpg": ("opted-out", "robots.txt allows it; X-Robots-Tag: noai"),
    }
    assert set(read_ledger(tmp_path / "originals" / "ledger.sqlite")["rule"]) == {row["rule"] for row in rows.values()}
    missing = pq.read_table(tmp_path / "missing" / "happy.parquet").to_pylist()
    assert {row["src"].rpartition("/")[2]: row["rule"] for row in missing} == {
        name: row["rule"] for name, row in rows.items() if row["outcome"] != "ok"
    }
    bamkit(f"{line} --retry-failed all", cwd=tmp_path)
    assert server.asked == dict.fromkeys(RULES, 1), "the ledger knows the answers of this day"
    assert server.counts["/private/b.jpg"] == 0
    with sqlite3.connect(tmp_path / "originals" / "ledger.sqlite") as db:
        db.execute("update host_rules set time = '2026-01-01T00:00:00Z'")
    bamkit(f"{line} --retry-failed gone", cwd=tmp_path)
    assert server.asked == dict.fromkeys(RULES, 2)


@pytest.mark.parametrize(
    ("option", "path", "name"),
    [
        ("--ignore-robots", "/private/b.jpg", ROBOTS),
        ("--ignore-tdm", "/art/a.jpg", TDMREP),
        ("--ignore-ai-txt", "/art/a.jpg", AI),
    ],
)  # fmt: skip
def test_each_rule_has_an_option_to_act_otherwise(server, tmp_path, bamkit, option, path, name):
    server[ROBOTS] = text("User-agent: *\nDisallow: /private")
    server[TDMREP] = text(json.dumps([{"location": "/art", "tdm-reservation": 1}])) if name == TDMREP else status(404)
    server[AI] = text("User-agent: *\nDisallow: /art") if name == AI else status(404)
    server["/private/b.jpg"], server["/c.jpg"] = file(jpeg(1)), file(jpeg(2), TDM_Reservation="1")
    write_selection(tmp_path, "happy", [server.url(each) for each in (path, "/c.jpg")], 2)
    bamkit("fetch --allow-private --size 48", cwd=tmp_path, code=3)
    assert server.counts[path] == 0
    bamkit(f"fetch --allow-private --size 48 {option}", cwd=tmp_path)
    assert server.counts[path] == 1
    assert ledger(tmp_path)["c.jpg"]["outcome"] == ("ok" if option == "--ignore-tdm" else "tdm-reserved")


def test_a_crawl_delay_is_kept(server, tmp_path):
    server[ROBOTS] = text("User-agent: *\nCrawl-delay: 0.15")
    for index in range(5):
        server[f"/{index}"] = file(jpeg(index))
    write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(5)], 5)
    fetch(Workspace(tmp_path), config=settings())
    times = [when for when, _ in server.log]
    assert len(times) == 5
    assert all(after - before > 0.12 for before, after in itertools.pairwise(times))
    assert server.asked[ROBOTS] == 1


def test_a_crawl_delay_is_no_leave_to_go_faster_and_has_an_end():
    host = HostLimiter("host.example:80", Politeness(rate=2))
    assert not host.slow_down(0.0, 0.1)
    assert (host.rate, host.crawl_delay) == (2, 0)
    assert host.slow_down(0.0, 4.0)
    assert not host.slow_down(1.0, 4.0), "known"
    host.start(10.0)
    assert (host.rate, host.available_at()) == (0.25, 14.0)
    host.finish(11.0, 10.0, Fault("throttled", retry_after=1.0))
    assert host.rate == 0.25, "half of it, but not below what is kept to anyway"
    scheduler = Scheduler(Politeness(patience=300))
    scheduler.add("http://host.example/a")
    scheduler.add("http://host.example/b")
    assert scheduler.slow_down(scheduler.take(), 3600)
    assert dict(scheduler.given_up) == dict.fromkeys(
        ("http://host.example/a", "http://host.example/b"),
        "host.example:80 wants 3600 s between two requests (Crawl-delay of its robots.txt)",
    )


def test_one_thread_asks_for_all_even_where_the_host_fails(server, tmp_path):
    server[ROBOTS] = first(1, status(500), status(404))
    for index in range(40):
        server[f"/{index}"] = file(jpeg(index))
    write_selection(tmp_path, "happy", [server.url(f"/{index}") for index in range(40)], 40)
    fetch(Workspace(tmp_path), config=settings())
    assert len(read(tmp_path, "happy", "train")) == 40
    assert server.asked == {ROBOTS: 2, TDMREP: 1, AI: 1}


def test_the_ledger_of_an_earlier_version_is_read_and_continued(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as db:
        db.execute(
            "create table ledger(url text primary key, outcome text not null, reason text, http_status int, "
            "attempts int not null, sha256 text, md5 text, bytes int, content_type text, format text, width int, "
            "height int, final_url text, time text not null) without rowid"
        )
        db.execute(f"insert into ledger(url, outcome, attempts, time) values('u', 'ok', 1, '{now()}')")
    assert list(read_ledger(path)["url"]) == ["u"]
    with Ledger(path) as opened:
        assert opened.rows(["u"])["u"].rule is None
    assert list(read_ledger(path)["rule"].isna()) == [True]


@pytest.mark.parametrize(
    ("pattern", "target", "found"),
    [
        ("/", "/a", True), ("/a", "/ab", True), ("/a$", "/ab", False), ("/a$", "/a", True), ("/*.jpg$", "/x.jpg", True),
        ("/*.jpg$", "/x.jpg?y", False), ("/this/*/then", "/this/is/then/x", True), ("*", "/", True),
        ("/a*$", "/abc", True), ("/a*b*b$", "/ab", False), ("/path/foo-%24", "/path/foo-$", True),
        ("/%C3%A9", "/é", True), ("/b", "/a/b", False), ("/*" + "a*" * 5000 + "$", "/" + "a" * 4000, False),
    ],
)  # fmt: skip
def test_patterns_of_reservations(pattern, target, found):
    assert Pattern.parse(pattern).matches(unquote(target)) is found


def test_reservations_that_are_none():
    for nothing in ("", "{}", "7", "[1, null, {}]", '[{"location": 3, "tdm-reservation": 1}]', "\0"):
        assert reservations(nothing) == []
    assert FetchSettings().politeness.honour_tdm

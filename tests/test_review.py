"""bamkit review: the server answers its own page alone, every decision is on the disk, the page works by keys."""

import csv
import http.client
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import evaluation_world as w
import pytest
from PIL import Image

from bamkit.common.errors import BamkitError
from bamkit.common.workspace import Workspace
from bamkit.curate.review import run
from bamkit.curate.review.items import read_items
from bamkit.curate.review.log import DecisionLog
from bamkit.curate.review.page import page_of
from bamkit.curate.select.decisions import COLUMNS, Decision, read_log, read_review, resolve, standing


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    workspace = Workspace.open(tmp_path_factory.mktemp("reviewed"))
    rows = w.mood_rows("happy", 1000, train=6, test=3)
    rows[4] = {**rows[4], "phash": rows[1]["phash"], "license": 'a "licence", </script>'}
    w.write_split(workspace, "happy", rows)
    return workspace


@pytest.fixture
def server(pictures, tmp_path):
    made = run.serve(pictures, "happy", path=tmp_path / "decisions.csv")
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def ask(server, path=None, method="GET", body=None, token=None, **headers):
    """(status, headers, body) of a request as the page makes it; `path` None: the page itself."""
    own = {"Host": f"127.0.0.1:{server.server_port}", **{name.replace("_", "-"): v for name, v in headers.items()}}
    if method == "POST":
        given = {"Origin": f"http://{own['Host']}", "Content-Type": "application/json"}
        own = {**given, **own}
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection._encode_request = lambda request: request.encode("utf-8")  # also what no browser would send
    address = f"/{server.token if token is None else token}/{path or ''}"
    connection.putrequest(method, address, skip_host=True)
    for name, value in own.items():
        if value is not None:
            connection.putheader(name, value)
    if body is not None and "Content-Length" not in own:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def decide(server, mid, decision, reviewer="ann", **more):
    return ask(server, "decisions", "POST", {"mid": mid, "decision": decision, "reviewer": reviewer, **more})


def test_the_page_holds_every_image_and_asks_nobody_else(server):
    status, headers, body = ask(server)
    page = body.decode()
    assert status == 200
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = headers["Content-Security-Policy"]
    nonce = re.search("'nonce-([^']+)'", policy)[1]
    assert page.count(f'nonce="{nonce}"') == 3
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "Access-Control-Allow-Origin" not in headers
    assert nonce not in ask(server)[2].decode(), "each answer has its own"
    assert not re.findall(r"(?:src|href)=|https?://", page.replace("picture.src", "").partition("<body>")[2][:3000])
    data = json.loads(re.search(r'type="application/json"[^>]*>(.*?)</script>', page, re.S)[1])
    columns = data["columns"]
    assert columns["mid"] == list(range(1000, 1009))
    assert columns["rank"] == list(range(1, 10))
    assert columns["near"][1] == [4]
    assert columns["near"][4] == [1]
    assert data["attribute"] == "emotion_happy"
    assert data["licenses"][columns["license"][4]] == 'a "licence", </script>'
    assert set(columns["labels"][0]) <= set("pun-")


def test_pictures_are_pictures(server):
    for room in ("small", "large"):
        status, headers, body = ask(server, f"{room}/1003")
        assert (status, headers["Content-Type"].split("/")[0]) == (200, "image")
        with Image.open(io.BytesIO(body)) as picture:
            assert picture.size == (w.SIZE, w.SIZE)
    assert ask(server, "small/9")[0] == 404


def test_nobody_without_the_token_gets_an_answer(server):
    other = "A" * len(server.token)
    for token in (other, "", server.token[:-1], server.token + "A", "ä"):
        status, _, body = ask(server, token=token)
        assert status == 403, token
        assert b"1003" not in body
    assert decide(server, 1000, "drop")[0] == 200
    assert ask(server, "decisions", "POST", {"mid": 1000, "decision": "drop", "reviewer": "a"}, token=other)[0] == 403
    assert len(server.log.rows()) == 1


def test_hosts_and_origins_of_others_are_refused(server):
    port = server.server_port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "", None, "localhost.evil:80"):
        assert ask(server, Host=host)[0] == 421, host
    assert ask(server, Host=f"localhost:{port}")[0] == 200
    assert ask(server, Host="localhost:9999")[0] == 200, "a tunnel may end at another port"
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}", "http://127.0.0.1:1", None):
        status = ask(server, "decisions", "POST", {"mid": 1000, "decision": "drop", "reviewer": "a"}, Origin=origin)[0]
        assert status == 403, origin
    assert ask(server, Origin="http://evil.example")[0] == 403
    assert ask(server, "small/1000", Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(server, "small/1000", Sec_Fetch_Site="same-origin")[0] == 200
    assert ask(server, method="OPTIONS")[0] == 501
    assert not server.log.rows()


def test_no_address_leads_to_a_file(server, pictures):
    for path in (
        "../decisions.csv", "..%2f..%2fetc/passwd", "small/../../bamkit.toml", "small//etc/passwd", "small/%31",
        "small/1000/../1001", "large/-1", "small/\xb2", "review.js", "small/", "decisions/-1", "decisions.csv", "?x",
    ):  # fmt: skip
        assert ask(server, path)[0] in (404, 403), path


def test_what_is_no_decision_is_refused_and_leaves_no_row(server):
    sound = {"mid": 1000, "decision": "drop", "reviewer": "a"}
    wrong = (
        {"mid": "1000"}, {"mid": True}, {"mid": 7}, {"mid": None}, {"decision": "burn"}, {"decision": "move"},
        {"decision": "move", "split": "attic"}, {"split": "test"}, {"reviewer": " "}, {"reviewer": "a" * 65},
        {"reviewer": "a\x1bb"}, {"reason": 3}, {"reason": "x" * 501}, {"since": -1}, {"since": 1.5},
    )  # fmt: skip
    for body in (b"", b"no json", b"[]", b"1", b"[" * 9000, b"\xff", *({**sound, **fault} for fault in wrong)):
        assert ask(server, "decisions", "POST", body)[0] in (400, 413), body
    assert ask(server, "decisions", "POST", b"x" * 20_000)[0] == 413
    assert ask(server, "decisions", "POST", b"{}", Content_Type="text/plain")[0] == 415
    assert ask(server, "decisions", "POST", b"{}", Content_Length="0x2")[0] == 413
    assert ask(server, "elsewhere", "POST", b"{}")[0] == 404
    assert not server.log.path.exists()


def test_a_decision_is_in_the_file_before_the_answer_and_others_are_heard(server):
    status, _, body = decide(server, 1002, "drop", reason='not "happy",\n really')
    assert status == 200
    text = server.log.path.read_text()
    assert text.splitlines()[0] == ",".join(COLUMNS)
    row = next(csv.DictReader(io.StringIO(text)))
    assert (row["reviewer"], row["mid"], row["decision"]) == ("ann", "1002", "drop")
    assert row["reason"] == 'not "happy", really'
    assert json.loads(body)["rows"][0][1:4] == ["ann", 1002, "drop"]
    DecisionLog(server.log.path, "happy", "").add("bob", 1002, "keep")
    assert [row[1] for row in json.loads(ask(server, "decisions/0")[2])["rows"]] == ["ann", "bob"]
    assert json.loads(ask(server, "decisions/1")[2])["since"] == 1
    assert decide(server, 1002, "undo", reviewer="bob", since=2)[0] == 200
    assert read_review(server.log.path).outcomes == {1002: "drop"}


def test_a_client_that_says_nothing_or_goes_away_keeps_nobody_else_waiting(server, capfd):
    silent = socket.create_connection(("127.0.0.1", server.server_port))
    gone = socket.create_connection(("127.0.0.1", server.server_port))
    gone.sendall(f"POST /{server.token}/decisions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx".encode())
    gone.close()
    assert ask(server)[0] == 200
    silent.close()
    assert "Traceback" not in capfd.readouterr().err


def test_many_at_once_lose_no_row(tmp_path):
    logs = [DecisionLog(tmp_path / "decisions.csv", "happy", "id") for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: logs[number % 2].add(f"r{number}", number, "keep", "", "x" * 100), range(60)))
    rows, torn = read_log(tmp_path / "decisions.csv")
    assert not torn
    assert sorted(row.mid for row in rows) == list(range(60))


def test_a_writer_waits_for_another_process(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    log = DecisionLog(tmp_path / "decisions.csv", "happy", "id")
    log.add("ann", 1, "keep")
    with open(log.path, "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        writer = threading.Thread(target=log.add, args=("ann", 2, "keep"))
        writer.start()
        writer.join(0.1)
        assert writer.is_alive()
        assert [row.mid for row in read_log(log.path)[0]] == [1]
    writer.join(10)
    assert [row.mid for row in log.rows()] == [1, 2]


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path):
    code = (
        "import sys; from pathlib import Path; from bamkit.curate.review.log import DecisionLog\n"
        "log = DecisionLog(Path(sys.argv[1]), 'happy', 'id')\n"
        "for number in range(100000):\n"
        "    log.add('ann', number, 'drop', '', 'because ' * 20); print(number, flush=True)\n"
    )
    path = tmp_path / "decisions.csv"
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    for _ in range(20):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().split()
    child.wait()
    acknowledged = 20 + len(rest)
    with open(path, "ab") as file:
        file.write(b"2026-01-01T00:00:00Z,ann,happy,id,5,dro")  # what a power cut may leave
    log = DecisionLog(path, "happy", "id")
    log.add("bob", 1, "keep")
    rows, torn = read_log(path)
    assert not torn
    assert [row.mid for row in rows[:acknowledged]] == list(range(acknowledged))
    assert (rows[-1].reviewer, rows[-1].decision) == ("bob", "keep")
    assert len(list(csv.reader(path.open()))) == len(rows) + 1


def test_what_is_no_log_is_not_written_to(pictures, tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BamkitError, match="lacks the columns"):
        run.serve(pictures, "happy", path=path)
    assert path.read_text() == "a,b\n1,2\n"
    with pytest.raises(BamkitError, match="no selection or split 'none'"):
        run.serve(pictures, "none")


def test_a_static_page_holds_its_pictures_and_repeats(pictures, bamkit):
    output = bamkit("review --static", cwd=pictures.root).output
    page = pictures.root / "reviews" / "happy" / "index.html"
    assert "-> reviews/happy/index.html" in output
    first = page.read_bytes()
    bamkit("review happy --static", cwd=pictures.root)
    assert page.read_bytes() == first
    assert first.count(b"data:image/webp;base64,") == 9
    assert "reviews/happy/index.html" in (pictures.root / "index.html").read_text()
    assert "--static has no server" in bamkit("review --static --port 1", cwd=pictures.root, code=2).output


def test_the_example_of_the_guide_runs(pictures, monkeypatch, capsys):
    text = (Path(__file__).parents[1] / "docs" / "review.md").read_text(encoding="utf-8")
    DecisionLog(run.log_path(pictures, "happy"), "happy", "").add("ann", 1000, "drop")
    monkeypatch.chdir(pictures.root)
    exec(compile(re.search(r"```python\n(.*?)```", text, re.S)[1], "docs/review.md", "exec"), {})
    assert "9 images in" in (output := capsys.readouterr().out)
    assert "{1000: 'drop'}" in output


@pytest.mark.slow
def test_ctrl_c_ends_the_command(pictures, tmp_path):
    line = [
        sys.executable,
        "-m",
        "bamkit",
        "-w",
        str(pictures.root),
        "review",
        "happy",
        "--decisions",
        str(tmp_path / "d"),
    ]
    child = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline().startswith("9 images of happy; decisions in")
    assert re.match(r"open http://127\.0\.0\.1:\d+/[\w-]{32}/ ", child.stdout.readline())
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    assert "0 rows" in child.communicate(timeout=100)[0]
    assert child.returncode == 0


# --- in a real browser ---


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from browser import Browser

    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def press(browser, *keys):
    for key in keys:
        browser.key(key, key if len(key) == 1 else {"Enter": "\r"}.get(key, ""))


def told(browser):
    return browser.js("document.getElementById('told').textContent")


@pytest.mark.slow
def test_the_keyboard_alone_suffices_and_the_file_has_what_the_page_shows(server, browser):
    browser.open(server.url)
    browser.wait("document.querySelectorAll('.cell').length === 9")
    press(browser, "k")
    browser.wait("document.getElementById('ask').open")
    browser.type("Ann")
    press(browser, "Enter")
    browser.wait("document.getElementById('told').textContent === 'rank 1: keep'")
    press(browser, "d", "2", "d", "ArrowRight", "d", "u")
    browser.wait("document.getElementById('saved').textContent === 'saved'")
    assert told(browser) == "taken back: drop, rank 6"
    press(browser, "Home", "ArrowRight", "r")
    browser.wait("document.getElementById('ask').open")
    browser.type("text or logo")
    press(browser, "Enter")
    browser.wait("document.getElementById('told').textContent === 'rank 2: drop, text or logo'")
    browser.wait("document.getElementById('saved').textContent === 'saved'")
    rows, _ = read_log(server.log.path)
    assert [(row.mid, row.outcome) for row in rows] == [
        (1000, "keep"), (1001, "drop"), (1002, "test"), (1003, "drop"), (1005, "drop"), (1005, "undo"), (1001, "drop"),
    ]  # fmt: skip
    assert {row.reviewer for row in rows} == {"Ann"}
    assert rows[-1].reason == "text or logo"
    server.log.add("Bob", 1001, "keep")
    browser.open(server.url)
    browser.wait("document.querySelectorAll('.cell').length === 9")
    browser.wait("document.getElementById('cell-1').querySelector('.others').textContent === '≠ 1'")
    shown = browser.js("[...document.querySelectorAll('.cell')].map((cell) => cell.className.trim()).join('|')")
    assert shown.replace(" here", "").split("|") == [
        "cell keep", "cell drop", "cell move", "cell drop", "cell", "cell", "cell", "cell", "cell"
    ]  # fmt: skip
    assert read_review(server.log.path).outcomes == {1000: "keep", 1002: "test", 1003: "drop"}
    outside = browser.js(
        "performance.getEntriesByType('resource').filter((e) => !e.name.startsWith(location.origin)).length"
    )
    assert outside == 0


@pytest.mark.slow
def test_one_picture_large_with_its_near_duplicates(server, browser):
    browser.open(server.url)
    browser.wait("document.querySelectorAll('.cell').length === 9")
    press(browser, "ArrowRight", "Enter")
    browser.wait("document.getElementById('large').open && document.getElementById('picture').naturalWidth > 0")
    assert browser.js("document.querySelectorAll('#scores tr').length") == 20
    assert "near-duplicate, rank 5" in browser.js("document.querySelector('#twins button').getAttribute('aria-label')")
    press(browser, "ArrowRight")
    assert browser.js("document.getElementById('name').textContent") == "Rank 3 · train"
    press(browser, "Escape")
    browser.wait("!document.getElementById('large').open")
    for width in (390, 1200):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        browser.wait(f"innerWidth === {width}")
        assert browser.js("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_filters_choose_and_only_cells_on_the_screen_exist(pictures, browser, tmp_path):
    items = read_items(pictures, "happy")
    many = {name: (values * 600)[:5000] for name, values in items.page["columns"].items()}
    many |= {"mid": list(range(5000)), "rank": list(range(1, 5001)), "near": [[] for _ in range(5000)]}
    many["picture"] = [False] * 5000
    page = tmp_path / "many.html"
    page.write_text(page_of({**items.page, "columns": many, "reviewer": "Ann", "served": False, "pictures": []}))
    browser.open(page.as_uri())
    browser.wait("document.querySelectorAll('.cell').length > 0")
    assert browser.js("document.querySelectorAll('.cell').length") < 200
    press(browser, "End", "d")
    assert told(browser) == "rank 5000: drop"
    browser.js("const f = document.getElementById('filter').elements; f.state.value = 'drop';"
               "f.state.dispatchEvent(new Event('input', {bubbles: true}))")  # fmt: skip
    assert browser.js("document.getElementById('filtered').textContent") == "1 of 5,000 shown"
    browser.js("f.state.value = ''; f.split.value = '1'; f.split.dispatchEvent(new Event('input', {bubbles: true}))")
    assert browser.js("document.getElementById('filtered').textContent").startswith("1,66")
    text = browser.js("csv()")
    saved = tmp_path / "decisions.csv"
    saved.write_text(text)
    assert read_review(saved).outcomes == {4999: "drop"}
    assert text.splitlines()[0] == ",".join(COLUMNS)
    browser.open(page.as_uri() + "#again")
    browser.wait("document.getElementById('count').textContent === '1 of 5,000 decided'")


@pytest.mark.slow
def test_the_page_folds_a_log_as_select_does(pictures, browser, tmp_path):
    random = Random(0)
    rows = []
    for _ in range(400):
        decision = random.choice(("keep", "drop", "move", "undo"))
        split = random.choice(("train", "test")) if decision == "move" else ""
        rows.append(Decision(random.choice("abc"), random.randrange(1000, 1009), decision, split))
    items = read_items(pictures, "happy")
    page = tmp_path / "page.html"
    page.write_text(page_of({**items.page, "reviewer": "a", "served": False, "pictures": [""] * 9}))
    browser.open(page.as_uri())
    plain = [["", row.reviewer, row.mid, row.decision, row.split, ""] for row in rows]
    browser.js(f"log = {json.dumps(plain)}; fold()")
    for end in range(0, 400, 7):
        browser.js(f"log = {json.dumps(plain[:end])}; fold()")
        found = standing(rows[:end])
        expected = {str(mid): {who: one.outcome for who, one in by.items()} for mid, by in found.items()}
        shown = browser.js(
            "Object.fromEntries([...decided].map(([mid, by]) => [mid, Object.fromEntries([...by].map("
            "([who, vote]) => [who, outcome(vote)]))]))"
        )
        assert shown == expected
        torn = browser.js("[...decided.keys()].filter(disagree).sort((a, b) => a - b)")
        assert tuple(torn) == resolve(found).undecided

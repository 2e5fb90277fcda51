"""The sample's server over real HTTP: good pictures, and every fault it claims."""

import http.client
import io
import signal
import socket
import sqlite3
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image

from bamkit.common.errors import BamkitError
from bamkit.sample import SampleServer, make_sample, placeholder
from bamkit.sample.addresses import mid_of
from bamkit.sample.encode import picture_bytes
from bamkit.sample.faults import FAULTS, fault_of


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A sample of the default size."""
    return make_sample(tmp_path_factory.mktemp("large"))


def addresses(folder):
    with closing(sqlite3.connect(folder / "bam.sqlite")) as connection:
        return list(dict.fromkeys(src for (src,) in connection.execute("SELECT src FROM modules ORDER BY mid")))


def by_fault(folder, faults):
    """Addresses of a sample under the name of the fault that the server commits there."""
    found = {}
    for src in addresses(folder):
        fault = fault_of(urlsplit(src).path, 0, faults)
        found.setdefault(fault.name if fault else "ok", []).append(src)
    return found


def test_faults_are_six_percent_and_always_the_same(large):
    found = by_fault(large, 0.06)
    count = sum(map(len, found.values()))
    gone = sum(len(found[fault.name]) for fault in FAULTS if fault.lasting)
    assert 0.05 < gone / count < 0.07
    assert all(found[fault.name] for fault in FAULTS)
    assert found == by_fault(large, 0.06)
    assert sum(fault.share for fault in FAULTS if fault.lasting) == pytest.approx(1)


@pytest.fixture(scope="module")
def faulty(sample_factory):
    folder = sample_factory(rows=400)
    with SampleServer(folder, faults=0.4) as server:
        yield by_fault(folder, 0.4), server


def test_good_answers_are_pictures(faulty):
    found, server = faulty
    with requests.Session() as session:
        for src in found["ok"][:5]:
            answer = session.get(src, timeout=60)
            assert answer.status_code == 200
            assert answer.content == picture_bytes(mid_of(urlsplit(src).path, 0), 0)
            Image.open(io.BytesIO(answer.content)).load()
            assert server.requests[urlsplit(src).path] == 1


def test_missing_pictures_stay_missing(faulty):
    found, _ = faulty
    for _ in range(2):
        assert requests.get(found["missing"][0], timeout=60).status_code == 404


def test_removed_pictures_get_one_placeholder_with_status_200(faulty):
    found, _ = faulty
    answers = [requests.get(src, timeout=60) for src in found["placeholder"][:3]]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert {answer.content for answer in answers} == {placeholder()}
    image = Image.open(io.BytesIO(placeholder()))
    assert (image.format, image.size) == ("PNG", (600, 343))


def test_a_cut_file_stays_cut(faulty):
    found, _ = faulty
    src = found["cut-file"][0]
    whole = picture_bytes(mid_of(urlsplit(src).path, 0), 0)
    for _ in range(2):
        answer = requests.get(src, timeout=60)
        assert answer.status_code == 200
        assert answer.content == whole[: len(whole) * 3 // 5]
    with pytest.raises((OSError, SyntaxError)):
        Image.open(io.BytesIO(answer.content)).load()


def test_a_cut_transfer_heals(faulty):
    found, _ = faulty
    src = found["cut-transfer"][0]
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        requests.get(src, timeout=60).content  # noqa: B018
    assert requests.get(src, timeout=60).content == picture_bytes(mid_of(urlsplit(src).path, 0), 0)


def test_errors_of_the_server_heal(faulty):
    found, _ = faulty
    for name, status in (("server-error", 500), ("too-many-requests", 429)):
        first, second = (requests.get(found[name][0], timeout=60) for _ in range(2))
        assert first.status_code == status
        assert second.status_code == 200
        assert first.headers.get("Retry-After") == ("1" if status == 429 else None)


def test_slow_answers_are_slow_once(faulty):
    found, _ = faulty
    src, times = found["slow"][0], []
    for _ in range(5):
        start = time.monotonic()
        assert requests.get(src, timeout=60).status_code == 200
        times.append(time.monotonic() - start)
    assert times[0] > 0.2
    assert min(times[1:]) < times[0]


def test_connections_stay_open_and_head_sends_no_body(faulty):
    found, server = faulty
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    path = urlsplit(found["ok"][0]).path
    connection.request("HEAD", path)
    answer = connection.getresponse()
    assert answer.read() == b""
    length = int(answer.headers["Content-Length"])
    first = connection.sock
    connection.request("GET", path)
    assert len(connection.getresponse().read()) == length
    assert connection.sock is first, "the second request went over the same connection"
    connection.request("GET", "/project_modules/disp/abcdef489.0123456789abc.jpg")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 404
    connection.close()


def test_without_faults_every_address_is_good(sample_factory):
    folder = sample_factory(rows=20)
    with SampleServer(folder, faults=0) as server:
        assert all(requests.get(src, timeout=60).status_code == 200 for src in addresses(folder))
        assert set(server.outcomes) == {"ok"}


def test_painting_processes_give_the_same_files(sample_factory):
    folder = sample_factory(rows=40)
    with SampleServer(folder, faults=0, processes=1) as server:
        for src in addresses(folder)[:3]:
            assert requests.get(src, timeout=60).content == picture_bytes(mid_of(urlsplit(src).path, 0), 0)
        first = server._painters._all[0]
        first.kill()
        src = addresses(folder)[4]
        assert requests.get(src, timeout=60).content == picture_bytes(mid_of(urlsplit(src).path, 0), 0)
        second = server._painters._all[1]
    assert (first.poll(), second.poll()) == (-signal.SIGKILL, 0), "a process that died was replaced"


def test_the_port_is_closed_at_the_end_and_a_taken_one_is_named(sample_factory):
    folder = sample_factory(rows=40)
    server = SampleServer(folder, faults=0)
    with server:
        kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        kept.request("GET", "/")
        assert b"pictures" in kept.getresponse().read()
        with pytest.raises(BamkitError, match=f"port {server.port}"):
            SampleServer(folder).start()
    with pytest.raises((http.client.HTTPException, OSError)):
        kept.request("GET", "/")
        kept.getresponse()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", server.port))


def test_only_a_sample_can_be_served(tmp_path):
    with pytest.raises(BamkitError, match="no sample"):
        SampleServer(tmp_path)
    (tmp_path / "bam.sqlite").write_bytes(b"not a database at all, but long enough to be looked at" * 30)
    with pytest.raises(BamkitError, match="cannot be read"):
        SampleServer(tmp_path)
    (tmp_path / "bam.sqlite").unlink()
    with closing(sqlite3.connect(tmp_path / "bam.sqlite")) as connection:
        connection.execute("CREATE TABLE modules(mid int)")
    with pytest.raises(BamkitError, match="not made by bamkit sample"):
        SampleServer(tmp_path)


def test_painters_closed_in_the_middle_start_no_new_process():
    from bamkit.sample.pool import Painters

    painters = Painters(0, 1)
    painters.paint(489)
    painters.close()
    with pytest.raises(ConnectionAbortedError):
        painters.paint(489)
    assert len(painters._all) == 1

"""The sample: BAM's schema and quirks, labels true by construction, a server that really misbehaves."""

import requests


def test_the_server_serves_painted_pictures(sample_workspace, sample_server):
    import io
    import sqlite3

    from PIL import Image

    with sqlite3.connect(sample_workspace / "bam.sqlite") as connection:
        sources = [src for (src,) in connection.execute("SELECT src FROM modules LIMIT 20")]
    decoded = 0
    with requests.Session() as session:
        for src in sources:
            try:
                answer = session.get(src, timeout=20)
                if answer.status_code == 200:
                    Image.open(io.BytesIO(answer.content)).load()
                    decoded += 1
            except (OSError, requests.RequestException):
                continue
    assert decoded >= 14

"""bamkit export --to web: where onnxruntime-web comes from, what the folder holds, and the page in a real browser."""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import re
import tarfile
import threading
import urllib.request
from functools import partial

import numpy as np
import pytest
from PIL import Image

from bamkit.common.errors import BamkitError
from bamkit.common.pages.workspace_index import write_index
from bamkit.common.pictures.generated import xmp_packet
from bamkit.common.pictures.reader import open_picture, resized
from bamkit.gan.exchange.web import folder, runtime

# ---------------------------------------------------------------- onnxruntime-web


def package_of(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


WHOLE = package_of({"package/package.json": b"{}", runtime.WASM: b"\0asm", runtime.SCRIPT: b"export default 1;"})


def pinned(data, registry=""):
    sha512 = base64.b64encode(hashlib.sha512(data).digest()).decode()
    return runtime.Package("onnxruntime-web", "0.0.1", len(data), sha512, registry)


@pytest.fixture
def registry():
    """A registry on loopback: `serves` maps a path to (status, said length, body); `asked` is what was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            status, length, body = server.serves.get(self.path, (404, 0, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.serves = [], {}
    server.package = pinned(WHOLE, f"http://127.0.0.1:{server.server_port}")
    server.path = "/onnxruntime-web/-/onnxruntime-web-0.0.1.tgz"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_package_is_fetched_once_and_kept(registry, tmp_path):
    registry.serves[registry.path] = (200, len(WHOLE), WHOLE)
    for _ in range(2):
        assert runtime.obtain(None, registry.package, tmp_path / "cache") == WHOLE
    assert registry.asked == [registry.path]
    (tmp_path / "cache" / registry.package.file).write_bytes(WHOLE[:-1])  # damaged since
    assert runtime.obtain(None, registry.package, tmp_path / "cache") == WHOLE
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [registry.package.file]
    assert runtime.files_of(WHOLE) == (b"export default 1;", b"\0asm")


OTHER = bytes([WHOLE[0], WHOLE[1] ^ 1]) + WHOLE[2:]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, len(WHOLE), OTHER), "has another SHA-512"),
        ((200, len(WHOLE) + 9, WHOLE + b"and more."), "has another SHA-512"),
        ((200, len(WHOLE), WHOLE[:100]), "bytes arrived|more expected|IncompleteRead"),
        ((200, 100, WHOLE[:100]), "100 of "),
        ((404, 0, b""), "answers 404"),
        ((503, 0, b""), "answers 503"),
    ],
    ids=["another hash", "more", "cut", "short", "404", "503"],
)
def test_what_arrives_otherwise_is_refused_and_not_kept(registry, tmp_path, answer, said):
    registry.serves[registry.path] = answer
    with pytest.raises(BamkitError, match=said) as error:
        runtime.obtain(None, registry.package, tmp_path / "cache")
    assert "npm pack onnxruntime-web@0.0.1" in error.value.hint
    assert "--runtime onnxruntime-web-0.0.1.tgz" in error.value.hint
    assert not list(tmp_path.rglob("*.*"))


def test_nobody_answers(tmp_path):
    with pytest.raises(BamkitError, match="could not be had: "):
        runtime.obtain(None, pinned(WHOLE, "http://127.0.0.1:1"), tmp_path)


def test_a_file_of_the_users_own_is_checked_too(tmp_path):
    path = tmp_path / "it.tgz"
    with pytest.raises(BamkitError, match=r"it.tgz cannot be read: No such file"):
        runtime.obtain(path, pinned(WHOLE), tmp_path / "cache")
    path.write_bytes(OTHER)
    with pytest.raises(BamkitError, match=r"it.tgz is not onnxruntime-web 0.0.1"):
        runtime.obtain(path, pinned(WHOLE), tmp_path / "cache")
    path.write_bytes(WHOLE)
    assert runtime.obtain(path, pinned(WHOLE), tmp_path / "cache") == WHOLE
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_the_pin_is_what_npm_publishes(tmp_path):
    pin = runtime.ONNXRUNTIME_WEB
    try:
        with urllib.request.urlopen(f"{pin.registry}/{pin.name}/{pin.version}", timeout=30) as answer:
            published = json.load(answer)
    except OSError as error:
        pytest.skip(f"npm's registry cannot be reached: {error}")
    assert published["dist"]["integrity"] == f"sha512-{pin.sha512}"
    assert published["dist"]["tarball"] == pin.url
    assert published["license"] == "MIT"
    script, wasm = runtime.files_of(runtime.obtain(None, cache=tmp_path))
    assert script.startswith(b"/*!\n * ONNX Runtime Web v1.30.0\n")
    assert wasm.startswith(b"\0asm")


# ---------------------------------------------------------------- the folder


def onnx_model(path, strength=False):
    """picture -> picture, or with a strength s: (1 - s) picture - s picture."""
    onnx = pytest.importorskip("onnx")
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    shape = ["batch", 3, "rows", "columns"]
    inputs = [helper.make_tensor_value_info("picture", real, shape)]
    nodes = [helper.make_node("Identity", ["picture"], ["translated"])]
    if strength:
        inputs.append(helper.make_tensor_value_info("strength", real, [1]))
        nodes = [
            helper.make_node("Add", ["strength", "strength"], ["twice"]),
            helper.make_node("Mul", ["picture", "twice"], ["away"]),
            helper.make_node("Sub", ["picture", "away"], ["translated"]),
        ]
    outputs = [helper.make_tensor_value_info("translated", real, shape)]
    graph = helper.make_graph(nodes, "test", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())


ABOUT = {"run": "moods", "run_id": "r1", "checkpoint": "best", "method": "CUT"}


def write_page(target, given, about=ABOUT, width=64, names=("happy-to-scary", "scary-to-happy")):
    """A page of an identity and of a network with a strength; multiples of 16."""
    pytest.importorskip("onnx")
    models = [onnx_model, partial(onnx_model, strength=True)]
    networks = [folder.Network(name, f"w-{name}", 16, width, model) for name, model in zip(names, models, strict=False)]
    target.mkdir(parents=True)
    for name, write in folder.writers(networks, about, 286, True, given).items():
        write(target / name)
    return target


def config_of(page):
    return json.loads(re.search(r'id="about">(.*?)</script>', page, re.S)[1])


@pytest.fixture
def small_runtime(tmp_path, monkeypatch):
    path = tmp_path / "small.tgz"
    path.write_bytes(WHOLE)
    monkeypatch.setattr(runtime, "ONNXRUNTIME_WEB", pinned(WHOLE))
    return path


def test_the_folder_holds_all_and_its_page_may_ask_for_nothing(tmp_path, small_runtime):
    one, two = (write_page(tmp_path / name, small_runtime) for name in ("one", "two"))
    names = sorted(path.name for path in one.iterdir())
    assert names == [
        "LICENSE-onnxruntime-web.txt", "happy-to-scary.onnx.js", "index.html", "onnxruntime-web.js", "page.css",
        "page.js", "scary-to-happy.onnx.js",
    ]  # fmt: skip
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)
    page = (one / "index.html").read_text()
    policy = re.search('Content-Security-Policy" content="(.*?)"', page)[1]
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy
    assert "http" not in policy
    assert not re.search(r'(src|href)="(https?:)?//', page)
    work = re.search(r'<script type="text/plain" id="work">(.*?)</script>', page, re.S)[1]
    assert work.rstrip().endswith("}")
    assert work == f"\n{folder._source('worker.js')}{folder._source('pixels.js')}\n"
    assert [one["strength"] for one in config_of(page)["directions"]] == [False, True]
    assert "Copyright (c) Microsoft Corporation" in (one / "LICENSE-onnxruntime-web.txt").read_text()
    assert "onnxruntime-web 0.0.1" in page
    assert config_of(page)["mark"] == xmp_packet("moods", "r1", "best", "CUT")
    text = (one / "scary-to-happy.onnx.js").read_text()
    onnx_model(tmp_path / "it.onnx", strength=True)
    assert base64.b64decode(re.search('"([^"]*)"\\);$', text)[1]) == (tmp_path / "it.onnx").read_bytes()


def test_names_cannot_break_the_page(tmp_path, small_runtime):
    about = {"run": "</script><b>@WORK@", "run_id": "<!--", "checkpoint": "&"}
    page = (write_page(tmp_path / "page", small_runtime, about) / "index.html").read_text()
    assert "<b>" not in page
    assert "<!--" not in page
    assert config_of(page)["run"] == about["run"]
    assert page.count("async function translate") == 1


def test_the_workspace_links_the_page(tmp_path, small_runtime):
    write_page(tmp_path / "exports" / "moods-web", small_runtime)
    text = write_index(tmp_path).read_text()
    assert 'href="exports/moods-web/index.html"' in text
    assert "moods: pictures translated in the browser" in text


def test_a_wrong_runtime_stops_the_export_before_anything_is_written(tmp_path, bamkit):
    from test_interop import make_run

    make_run(tmp_path)
    (tmp_path / "it.tgz").write_bytes(WHOLE)
    shown = bamkit("export happy-scary --to web --runtime it.tgz", cwd=tmp_path, code=3).output
    assert "it.tgz is not onnxruntime-web 1.30.0" in shown
    assert "npm pack onnxruntime-web@1.30.0" in shown
    assert len(shown.strip().splitlines()) == 2
    assert not list((tmp_path / "exports").rglob("*.*"))


# ---------------------------------------------------------------- in a real browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from browser import Browser

    opened = Browser(tmp_path_factory.mktemp("profile"))
    opened.saved = tmp_path_factory.mktemp("saved")
    opened.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(opened.saved))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def real_runtime():
    """onnxruntime-web, from the user's cache or the registry."""
    try:
        runtime.obtain()
    except BamkitError as error:
        pytest.skip(f"onnxruntime-web is not here: {error}")


@pytest.fixture(scope="module")
def page(tmp_path_factory, real_runtime):
    return write_page(tmp_path_factory.mktemp("page") / "moods web", None)


def choose(browser, *paths):
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])


def text_of(browser, name):
    return browser.js(f"document.getElementById('{name}').textContent")


def done(browser):
    """Wait for the end of the translation; it went well."""
    browser.wait("!busyNow() && (told() === 'Done.' || wrong() !== '')", 100)
    assert browser.js("wrong()") == ""


WATCH = """
const busyNow = () => !document.getElementById('busy').hidden;
const told = () => document.getElementById('told').textContent;
const wrong = () => document.getElementById('wrong').hidden ? '' : document.getElementById('wrong').textContent;
"""


def open_page(browser, url):
    browser.open(url)
    browser.js(WATCH)


def saved(browser):
    """Click on Save, and the file that comes of it: (name, image)."""
    before = set(browser.saved.iterdir())
    browser.js("document.getElementById('save').click()")
    name = browser.js("document.getElementById('save').download")

    def arrived():
        return [path for path in set(browser.saved.iterdir()) - before if path.suffix == ".png"]

    for _ in range(500):
        if arrived():
            break
        browser.js("new Promise((resolve) => setTimeout(resolve, 20))")
        threading.Event().wait(0.02)
    (path,) = arrived()
    with Image.open(path) as image:
        image.load()
    path.unlink()
    return name, image


def pick(browser, name, value):
    browser.js(
        f"document.getElementById('{name}').value = '{value}';"
        f"for (const kind of ['input', 'change']) "
        f"document.getElementById('{name}').dispatchEvent(new Event(kind, {{bubbles: true}}))"
    )


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@contextlib.contextmanager
def served(root, policy):
    """A folder over http with a Content-Security-Policy of its own; gives the address and the paths asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self):
            self.send_header("Content-Security-Policy", policy)
            super().end_headers()

        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


STRICT = (
    "default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval'; worker-src blob:; style-src 'self'; img-src blob:"
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["resnet", "affine"])
def test_the_browser_paints_what_pytorch_paints(tmp_path, browser, bamkit, real_runtime, kind):
    """Both directions, sizes that no layer divides; the resnet from the disk, the affine one over http."""
    pytest.importorskip("onnxscript")
    from test_interop import AFFINE, RESNET, make_run

    make_run(tmp_path, RESNET if kind == "resnet" else AFFINE)
    bamkit("export happy-scary --to web --output page", cwd=tmp_path)
    assert "Open `index.html`" in (tmp_path / "page" / "README.md").read_text()
    sizes = [(37, 53), (5, 9), (64, 121), (1, 1)]
    for index, size in enumerate(sizes):
        Image.fromarray(noise(*size, seed=index)).save(tmp_path / f"{index}.png")
    bamkit("translate happy-scary --input 0.png --input 1.png --input 2.png --input 3.png --output out", cwd=tmp_path)
    with served(tmp_path / "page", STRICT) as (address, _):
        place = f"file://{tmp_path}/page" if kind == "resnet" else address
        open_page(browser, f"{place}/index.html")
        for direction in ("happy-to-scary", "scary-to-happy"):
            browser.js(f"document.getElementById('to-{direction}').click()")
            for index in range(len(sizes)):
                browser.js("document.getElementById('told').textContent = ''")
                choose(browser, tmp_path / f"{index}.png")
                done(browser)
                name, found = saved(browser)
                assert name == f"{index}_happy-scary_{direction}.png"
                with Image.open(tmp_path / "out" / direction / f"{index}.png") as image:
                    image.load()
                assert found.size == image.size
                assert np.abs(np.asarray(found).astype(int) - np.asarray(image)).max() <= 2
                assert found.info["xmp"] == image.info["xmp"]
                ours, theirs = (json.loads(one.info["bamkit"]) for one in (found, image))
                assert ours == {key: value for key, value in theirs.items() if key in ours}
                assert {"run_id", "weights", "direction", "checkpoint"} <= set(ours)


@pytest.mark.slow
def test_pictures_are_read_and_resized_as_bamkit_reads_and_resizes_them(tmp_path, browser, page):
    """The first network returns its input: what is saved is what was read, padded and cropped."""
    upright = noise(40, 70, seed=1)
    Image.fromarray(upright).save(
        tmp_path / "turned.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    )
    see_through = noise(33, 45, 4, seed=2)
    see_through[:5, :, 3], see_through[5:10, :, 3] = 0, 255
    Image.fromarray(see_through).save(tmp_path / "clear.png")
    Image.fromarray(noise(61, 90, 1, seed=3)[:, :, 0]).save(tmp_path / "grey.png")
    open_page(browser, (page / "index.html").as_uri())
    for name, size in [("turned", 0), ("clear", 0), ("grey", 0), ("turned", 128), ("grey", 128), ("clear", 128)]:
        expected = resized(open_picture(tmp_path / f"{name}.png"), size)
        pick(browser, "size", size)
        browser.js("document.getElementById('told').textContent = ''")
        choose(browser, tmp_path / f"{name}.png")
        done(browser)
        _, found = saved(browser)
        assert found.mode == ("RGB" if expected.alpha is None else "RGBA"), name
        found = np.asarray(found)
        # Canvases blend with other rounding than Pillow; everything else is the same to the bit.
        assert np.abs(found[:, :, :3].astype(int) - expected.rgb).max() <= (0 if expected.alpha is None else 2), name
        assert expected.alpha is None or (found[:, :, 3] == expected.alpha).all()


@pytest.mark.slow
def test_a_saved_picture_says_what_made_it_and_how_strongly(tmp_path, browser, page):
    picture = noise(20, 30)
    Image.fromarray(picture).save(tmp_path / "my cat.png")
    open_page(browser, (page / "index.html").as_uri())
    assert browser.js("document.getElementById('dose').hidden")
    browser.js("document.getElementById('to-scary-to-happy').click()")
    assert not browser.js("document.getElementById('dose').hidden")
    pick(browser, "strength", 0.25)
    assert text_of(browser, "dosed") == "0.25"
    choose(browser, tmp_path / "my cat.png")
    done(browser)
    name, found = saved(browser)
    assert name == "my cat_moods_scary-to-happy_strength-0.25.png"
    assert np.abs(np.asarray(found) - ((picture / 127.5 - 1) * 0.5 + 1) * 127.5).max() <= 0.51
    assert found.info["xmp"].decode() == xmp_packet("moods", "r1", "best", "CUT")
    about = json.loads(found.info["bamkit"])
    assert (about["run_id"], about["weights"], about["strength"]) == ("r1", "w-scary-to-happy", 0.25)
    assert "strength 0.25 · 30 × 20 pixels" in text_of(browser, "facts")
    # Moving the strength translates again.
    browser.js("document.getElementById('told').textContent = ''")
    pick(browser, "strength", 1)
    done(browser)
    _, found = saved(browser)
    assert np.abs(np.asarray(found).astype(int) - (255 - picture)).max() <= 1


@pytest.mark.slow
def test_a_picture_that_is_too_large_is_shrunk_and_the_page_says_so(tmp_path, browser, real_runtime):
    target = write_page(tmp_path / "page", None, width=14_000)
    limit = config_of((target / "index.html").read_text())["limit"]
    Image.fromarray(noise(150, 100)).save(tmp_path / "large.png")
    open_page(browser, (target / "index.html").as_uri())
    choose(browser, tmp_path / "large.png")
    done(browser)
    _, found = saved(browser)
    width, height = found.size
    assert width * height <= limit < 100 * 150
    assert json.loads(found.info["bamkit"])["size"] == width
    expected = resized(open_picture(tmp_path / "large.png"), width)
    assert (np.asarray(found) == expected.rgb).all()
    assert "shrunk from 100 × 150" in text_of(browser, "facts")


@pytest.mark.slow
def test_the_page_asks_nobody_and_tells_what_is_wrong(tmp_path, browser, page):
    for name in ("cat.png", "dog.png"):
        Image.fromarray(noise(20, 30)).save(tmp_path / name)
    (tmp_path / "note.txt").write_text("no picture")
    (tmp_path / "broken.png").write_bytes((tmp_path / "cat.png").read_bytes()[:40])
    with served(page, STRICT) as (address, asked):
        open_page(browser, f"{address}/index.html")
        for name, said in [("note.txt", "This file is no picture."), ("broken.png", "is no picture that this browser")]:
            choose(browser, tmp_path / name)
            browser.wait("wrong() !== ''", 60)
            assert said in browser.js("wrong()")
            assert not browser.js("busyNow()")
        choose(browser, tmp_path / "cat.png")  # goes on after a mistake
        done(browser)
        before = list(asked)
        assert {path.rsplit("/", 1)[-1] for path in before} <= {
            "index.html", "page.css", "page.js", "happy-to-scary.onnx.js", "onnxruntime-web.js", "favicon.ico",
        }  # fmt: skip
        browser.js(
            f"self.tried = ''; fetch('{address}/index.html').then(() => (tried = 'went'), () => (tried = 'refused'));"
            f"new Image().src = '{address}/picture.png'"
        )
        browser.wait("tried !== ''")
        assert browser.js("tried") == "refused"
        assert asked == before
        # A network that is of another export, or is not there, is not taken.
        browser.js("about.directions[1].weights = 'another'; document.getElementById('to-scary-to-happy').click()")
        browser.wait("wrong() !== ''")
        assert "scary-to-happy.onnx.js does not belong to this page" in browser.js("wrong()")
        browser.js("about.directions[1].name = 'gone'; document.getElementById('to-scary-to-happy').id = 'to-gone'")
        choose(browser, tmp_path / "dog.png")
        browser.wait("wrong().startsWith('gone')")
        assert browser.js("wrong()") == "gone.onnx.js could not be read: it must lie beside this page."


@pytest.mark.slow
def test_cancel_ends_the_work_and_the_next_picture_goes_through(tmp_path, browser, page):
    Image.fromarray(noise(1000, 1400)).save(tmp_path / "cat.png")
    open_page(browser, (page / "index.html").as_uri())
    browser.js("document.getElementById('file').focus()")
    choose(browser, tmp_path / "cat.png")
    browser.wait("busyNow()")
    browser.key("Escape")
    assert browser.js("told()") == "Cancelled."
    assert not browser.js("busyNow()")
    assert browser.js("worker === null && document.getElementById('result').hidden")
    assert browser.js("document.activeElement.id") == "file"
    pick(browser, "size", 128)  # a change begins again
    done(browser)
    browser.key("Tab")
    for _ in range(3):
        if browser.js("document.activeElement.id") == "reveal":
            break
        browser.key("Tab")
    browser.key("ArrowRight")
    assert browser.js("document.getElementById('pair').style.getPropertyValue('--shown')") == "51%"
    assert saved(browser)[1].size == (179, 128)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 390])
def test_nothing_is_wider_than_the_window(browser, page, width):
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    open_page(browser, (page / "index.html").as_uri())
    assert browser.js("document.documentElement.scrollWidth") <= width
    unnamed = (
        "[...document.querySelectorAll('input,select')].filter((one) => !one.labels.length && !one.ariaLabel).length"
    )
    assert browser.js(unnamed) == 0
    browser.call("Emulation.clearDeviceMetricsOverride")

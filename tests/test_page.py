"""Pages: escaped, self-contained, with unique ids; figures: repeatable, in the page's own colours."""

import io
import re

import numpy as np
from PIL import Image

from bamkit.common.pages import figures
from bamkit.common.pages.page import INK, Page, Picture, data_uri


def drawing() -> bytes:
    figure = figures.new(3, 2)
    with figures.style():
        axes = figure.subplots()
        axes.plot([0, 1, 2], [3, 1, 2])
        axes.set_title("losses & gains")
    return figures.svg(figure)


def full_page() -> Page:
    page = Page("A <b>bold</b> title", "With `code` & more.")
    page.section("First")
    page.facts([("images", "1,000", "of 1,200")])
    page.text("Type `bamkit fetch --size 96`, not <script>alert(1)</script>.")
    page.note("Careful.")
    page.heading("Smaller")
    page.figure(drawing(), 'a "figure"', "Its caption", wide=True)
    page.figures([(drawing(), "left"), (drawing(), "right")], "Two")
    page.section("First")
    page.table([{"name": "<i>x</i>", "n": 1200}, {"name": None, "n": None}], caption="A table")
    page.details("More", [{"share": 0.12345, "yes": True}])
    page.pictures([Picture(Image.new("RGB", (8, 8), "red"), "red <square>", "1")])
    page.groups([("pair", [Picture(data_uri_bytes(), "one"), Picture(data_uri_bytes(), "two")])])
    page.html("<p id='mine'>ours</p>")
    return page


def data_uri_bytes() -> bytes:
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "blue").save(buffer, "PNG")
    return buffer.getvalue()


def test_text_is_escaped_and_backticks_set_code():
    html = full_page().render()
    assert "<title>A &lt;b&gt;bold&lt;/b&gt; title</title>" in html
    assert "<code>bamkit fetch --size 96</code>" in html
    assert "<script>alert" not in html
    assert "&lt;i&gt;x&lt;/i&gt;" in html
    assert 'alt="red &lt;square&gt;"' in html
    assert "<p id='mine'>ours</p>" in html


def test_ids_are_unique_and_every_reference_is_answered():
    html = full_page().render()
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert {"first", "first-2", "content"} <= set(ids)
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_anchors_of_any_script_are_there_and_apart():
    page = Page("T")
    for title in ("Content", "冬-to-夏", "夏-to-冬", "…", "!", "été", "Content"):
        page.section(title)
    ids = re.findall(r'<h2 id="([^"]+)"', page.render())
    assert ids == ["content-2", "冬-to-夏", "夏-to-冬", "section", "section-2", "été", "content-3"]


def test_numbers_stand_to_the_right():
    html = full_page().render()
    assert '<th scope="col" class="number">n</th>' in html
    assert '<td class="number">1,200</td>' in html
    assert '<th scope="col">name</th>' in html
    assert "<td>yes</td>" in html


def test_a_page_of_one_section_has_no_contents():
    page = Page("One")
    page.section("Only")
    assert "<nav" not in page.render()
    page.section("Another")
    assert "<nav" in page.render()


def test_pairs_stay_side_by_side_on_every_screen():
    page = Page("t")
    page.pictures([Picture(data_uri_bytes(), name) for name in "abcd"], together=2)
    sets = page.render().split('<div class="set">')[1:]
    assert [re.findall(r'alt="(.)"', part) for part in sets] == [["a", "b"], ["c", "d"]]


def test_figures_repeat_and_take_the_pages_ink():
    assert drawing() == drawing()
    page = Page("t")
    page.figure(drawing(), "alt")
    svg = page.blocks[0]["svg"]
    assert "var(--ink)" in svg
    assert INK not in svg
    assert "losses &amp; gains" in svg
    assert svg.startswith("<svg")


def test_figures_as_files():
    figure = figures.new(3, 2)
    with figures.style():
        figure.subplots().bar([0, 1], [1, 2])
    before = figure.dpi
    assert b"<text" in figures.svg(figure)
    for form in (figures.svg, figures.pdf, figures.png):
        assert form(figure) == form(figure)
    assert figures.pdf(figure).startswith(b"%PDF")
    with Image.open(io.BytesIO(figures.png(figure, dpi=150))) as picture:
        assert (picture.format, picture.size) == ("PNG", (450, 300))
        assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    assert figure.dpi == before


def test_pictures_become_data_uris():
    assert data_uri(data_uri_bytes()).startswith("data:image/png;base64,")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8))
    assert data_uri(noise).startswith("data:image/webp;base64,")


def test_written_pages_are_whole(tmp_path):
    full_page().write(tmp_path / "deep" / "index.html")
    text = (tmp_path / "deep" / "index.html").read_text(encoding="utf-8")
    assert text.rstrip().endswith("</html>")
    assert not list(tmp_path.rglob("*.tmp"))


def test_several_notes_are_a_list_one_a_line():
    page = Page("T")
    page.note("first.", "second `code`.")
    page.note("alone.")
    page.note()
    html = page.render()
    assert '<ul class="note" role="note"><li>first.</li><li>second <code>code</code>.</li></ul>' in html
    assert '<p class="note" role="note">alone.</p>' in html
    assert html.count('role="note"') == 2


def test_numbers_in_tables_have_the_minus_of_the_figures():
    page = Page("T")
    page.table([{"name": "a-b", "value": -0.25, "small": -1e-7}])
    html = page.render()
    assert "<td>a-b</td>" in html
    assert '"number">\N{MINUS SIGN}0.25<' in html
    assert '"number">\N{MINUS SIGN}1e\N{MINUS SIGN}07<' in html


def test_pictures_keep_their_place_before_they_are_decoded():
    page = Page("T")
    page.pictures([Picture(Image.new("RGB", (30, 20)), "drawn"), Picture(data_uri_bytes(), "encoded")])
    sizes = re.findall(r'width="(\d+)" height="(\d+)" alt="(\w+)"', page.render())
    assert sizes == [("30", "20", "drawn"), ("8", "8", "encoded")]


def test_pages_of_a_workspace_link_to_each_other(tmp_path):
    for place in ("reports/index.html", "reports/evaluate-x/index.html", "runs/x/index.html"):
        Page(f"Page <{place}>").write(tmp_path / place)
    Page("Check").write(tmp_path / "reports" / "check.html")
    text = (tmp_path / "reports" / "check.html").read_text(encoding="utf-8")
    assert '<a href="evaluate-x/index.html">Page &lt;reports/evaluate-x/index.html&gt;</a>' in text
    assert '<a href="../runs/x/index.html">' in text
    assert text.count('href="index.html"') == 1
    assert 'href="check.html"' not in text


def test_signs_and_missing_values_of_tables():
    page = Page("T", "between -2 and 3, not happy-2 nor `--min -1`")
    page.table([{"x": "-0.3 [-0.5, -0.1]", "y": None}, {"x": "10-12", "y": 1.0}])
    html = page.render()
    assert "between −2 and 3, not happy-2 nor <code>--min -1</code>" in html
    assert "<td>−0.3 [−0.5, −0.1]</td>" in html
    assert "<td>10-12</td>" in html
    assert '<td class="number">–</td>' in html

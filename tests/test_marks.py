"""Generated pictures say that they are: XMP in every format, read by others too; Content Credentials; attribution."""

import csv
import datetime
import io
import json
import shutil
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from test_translate import encoded, picture, write_run, write_split

from bamkit.common.pictures import generated
from bamkit.common.pictures.metadata import separate
from bamkit.common.shards import read_about as read_table_about
from bamkit.common.shards import write_table
from bamkit.gan.translate.origin import read_about

COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


@pytest.fixture
def workspace(tmp_path):
    write_split(tmp_path, "happy", "test", [11, 12, 13])
    write_split(tmp_path, "scary", "test", [21])
    write_run(tmp_path)
    return tmp_path


def xmp(data):
    return b"".join(separate(data).xmp).decode()


def test_every_file_of_a_translation_says_that_a_network_made_it_and_in_which_run(workspace, bamkit):
    bamkit("translate", cwd=workspace)
    out = workspace / "translations" / "happy-scary"
    files = sorted(out.rglob("*.png"))
    assert len(files) == 4 + 2, "the pictures and the grids"
    inside = [image["bytes"] for image in pq.read_table(out / "translations.parquet")["image"].to_pylist()]
    for data in [*(path.read_bytes() for path in files), *inside]:
        said = xmp(data)
        assert f"<Iptc4xmpExt:DigitalSourceType>{COMPOSITE}</" in said
        assert "run happy-scary<" in said
        assert "<Iptc4xmpExt:AISystemVersionUsed>r0, step-00000007<" in said


def test_marks_can_be_left_out_and_a_file_without_is_not_taken_for_one_with(workspace, bamkit):
    bamkit("translate --no-mark", cwd=workspace)
    out = workspace / "translations" / "happy-scary"
    assert not any(xmp(path.read_bytes()) for path in out.rglob("*.png"))
    assert "holds other translations" in bamkit("translate", cwd=workspace, code=3).output
    bamkit("translate --force", cwd=workspace)
    first = {path.name: path.read_bytes() for path in out.rglob("*.png")}
    assert all(xmp(data) for data in first.values())
    (out / "happy-to-scary" / "12.png").unlink()
    shown = json.loads(bamkit("translate --json", cwd=workspace).output)
    assert [(row["translated"], row["there already"]) for row in shown["directions"]] == [(1, 2), (0, 1)]
    assert {path.name: path.read_bytes() for path in out.rglob("*.png")} == first, "resumed: the same bytes"


def test_one_picture_says_so_in_every_format_that_can_and_inherits_nothing_of_the_source(workspace, bamkit):
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "A. Painter"
    taken = generated.xmp_packet("another", "x").replace("compositeWithTrainedAlgorithmicMedia", "digitalCapture")
    Image.fromarray(picture(24, 32)).save(workspace / "in.jpg", exif=exif, xmp=taken.encode())
    made = [workspace / f"out{suffix}" for suffix in (".png", ".jpg", ".webp", ".tif", ".avif")]
    for path in made:
        shown = bamkit(f"translate --input in.jpg --direction a-to-b --output {path.name}", cwd=workspace).output
        assert "hold no metadata" not in shown
        data = path.read_bytes()
        assert COMPOSITE.encode() in data
        for foreign in (b"A. Painter", b"digitalCapture", b"another"):
            assert foreign not in data
        with Image.open(path) as opened:
            assert opened.size == (24, 32), "upright"
            assert opened.getexif().get(0x0112, 1) == 1
    shown = bamkit("translate --input in.jpg --direction a-to-b --output out.bmp", cwd=workspace).output
    assert "out.bmp does not say that a network made it" in shown
    bamkit("translate --input in.jpg --direction a-to-b --output without.jpg --no-mark", cwd=workspace)
    assert b"digitalsourcetype" not in (workspace / "without.jpg").read_bytes()
    if shutil.which("exiftool"):
        words = ["exiftool", "-j", "-G1", *made]
        for read in json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout):
            assert read["XMP-iptcExt:DigitalSourceType"] == COMPOSITE
            assert read["XMP-iptcExt:AISystemVersionUsed"] == "r0, step-00000007"
            assert not [key for key in read if "Artist" in key]


def test_markup_and_control_characters_in_a_name_cannot_break_the_packet():
    from xml.etree import ElementTree

    packet = generated.xmp_packet("<a>&\x00\ud800 ü", "1")
    body = packet.split("?>", 1)[1].rsplit("<?", 1)[0]
    texts = [element.text for element in ElementTree.fromstring(body).iter()]
    assert "bamkit CycleGAN, run <a>& � ü" in texts


# ---------------------------------------------------------------- attribution


def give_licences(workspace, name, licences):
    path = workspace / "splits" / name / "test-00000-of-00001.parquet"
    rows = pq.read_table(path).to_pylist()
    for row, text in zip(rows, licences, strict=True):
        row |= {"license": text, "project_id": row["mid"] + 1000}
    table = pa.Table.from_pylist(rows, schema=pq.read_schema(path).remove_metadata())
    write_table(table, path, read_table_about(path), row_group_size=2)


def attribution(out):
    with open(out / "attribution.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_sources_whose_licence_asks_for_it_are_listed_beside_the_translations(workspace, bamkit):
    give_licences(workspace, "happy", ["cc by-nc-nd", "cc0", "some own words"])
    give_licences(workspace, "scary", ["public domain"])
    bamkit("translate", cwd=workspace)
    out = workspace / "translations" / "happy-scary"
    rows = attribution(out)
    assert [row["mid"] for row in rows] == ["11", "13"], "not what asks for nothing"
    assert rows[0] == {
        "mid": "11",
        "project_id": "1011",
        "project_url": "https://www.behance.net/gallery/1011",
        "src": "http://127.0.0.1/11.jpg",
        "license": "cc by-nc-nd",
        "license_url": "https://creativecommons.org/licenses/by-nc-nd/4.0/",
        "conditions": "attribution, non-commercial",
        "domain": "happy",
        "split": "test",
    }
    before = (out / "attribution.csv").read_bytes()
    bamkit("translate", cwd=workspace)
    assert (out / "attribution.csv").read_bytes() == before, "also where all pictures were there already"
    shown = bamkit("translate --limit 1 --direction happy-to-scary --output one.png", cwd=workspace).output
    assert "mid 11, is under cc by-nc-nd: http://127.0.0.1/11.jpg, https://www.behance.net/gallery/1011" in shown
    bamkit("translate --direction scary-to-happy --force", cwd=workspace)
    assert not (out / "attribution.csv").exists(), "that of other translations does not stay"


def test_the_users_own_file_of_that_name_stays(workspace, bamkit):
    give_licences(workspace, "scary", ["cc0"])
    (workspace / "out").mkdir()
    (workspace / "out" / "attribution.csv").write_text("mine")
    bamkit("translate --direction scary-to-happy --output out --force", cwd=workspace)
    assert (workspace / "out" / "attribution.csv").read_text() == "mine"


# ---------------------------------------------------------------- Content Credentials


def certificates(folder):
    """A root, and a signer with its key below it, in one PEM file; the paths of both."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem, now = serialization.Encoding.PEM, datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, name)]) for name in ("root", "painter")]
    never = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    usages = (*never, "encipher_only", "decipher_only")
    made = []
    for own in (0, 1):
        usage = {"digital_signature": own == 1, "key_cert_sign": own == 0, "crl_sign": own == 0}
        builder = x509.CertificateBuilder(names[0], names[own], keys[own].public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(9))
        for extension, critical in (
            (x509.BasicConstraints(own == 0, None), True),
            (x509.KeyUsage(**usage, **dict.fromkeys(usages, False)), True),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), False),
            (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
        ):
            builder = builder.add_extension(extension, critical)
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(pem))
    plain = serialization.NoEncryption()
    key = keys[1].private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    folder.mkdir(exist_ok=True)
    (folder / "mine.pem").write_bytes(key + made[1] + made[0])
    (folder / "root.pem").write_bytes(made[0])
    (folder / "turned.pem").write_bytes(key + made[0] + made[1])
    return folder / "mine.pem", folder / "root.pem"


def credentials(data, root, kind="image/png"):
    """What c2pa's own reader says of a file, trusting that root."""
    import c2pa

    trust = {"user_anchors": root.read_text(), "trust_config": "1.3.6.1.5.5.7.3.4"}
    context = c2pa.Context.from_dict({"trust": trust, "verify": {"verify_trust": True}})
    read = json.loads(c2pa.Reader(kind, io.BytesIO(data), context=context).json())
    return read["validation_state"], read["manifests"][read["active_manifest"]]


def test_content_credentials_hold_in_the_consumers_own_reader(workspace, bamkit):
    pytest.importorskip("c2pa")
    mine, root = certificates(workspace / "keys")
    bamkit(f"translate --c2pa {mine}", cwd=workspace)
    out = workspace / "translations" / "happy-scary"
    inside = pq.read_table(out / "translations.parquet")["image"].to_pylist()[0]["bytes"]
    assert inside == (out / "happy-to-scary" / "11.png").read_bytes()
    state, manifest = credentials(inside, root)
    assert state == "Trusted"
    opened, edited = manifest["assertions"][0]["data"]["actions"]
    assert (opened["action"], edited["action"]) == ("c2pa.opened", "c2pa.edited")
    assert edited["digitalSourceType"] == COMPOSITE
    assert edited["parameters"] == {"run": "happy-scary", "run_id": "r0", "checkpoint": "step-00000007"}
    assert manifest["ingredients"][0]["title"] == "11.jpg"
    assert "thumbnail" not in json.dumps(manifest)
    spoiled = bytearray(inside)
    spoiled[spoiled.rindex(b"IDAT") + 8] ^= 1
    assert credentials(bytes(spoiled), root)[0] == "Invalid"
    assert read_about(out / "happy-to-scary" / "11.png")["c2pa"], "the picture itself reads as before"
    again = json.loads(bamkit(f"translate --c2pa {mine} --json", cwd=workspace).output)
    assert sum(row["translated"] for row in again["directions"]) == 0, "signed files are kept"
    assert (out / "happy-to-scary" / "11.png").read_bytes() == inside


def test_one_file_is_signed_in_its_own_format_whatever_the_source_is(workspace, bamkit):
    pytest.importorskip("c2pa")
    mine, root = certificates(workspace / "keys")
    whole = encoded(picture(40, 40), "JPEG", quality=95)
    (workspace / "odd.jpg").write_bytes(whole[:-2])  # c2pa does not take a JPEG file without its end
    for suffix, kind in ((".jpg", "image/jpeg"), (".webp", "image/webp")):
        line = f"translate --input {workspace}/odd.jpg --direction a-to-b --output out{suffix} --c2pa {mine}"
        bamkit(line, cwd=workspace)
        state, manifest = credentials((workspace / f"out{suffix}").read_bytes(), root, kind)
        assert (state, manifest["ingredients"][0]["title"]) == ("Trusted", "odd.jpg")
    line = f"translate --input odd.jpg --direction a-to-b --output out.bmp --c2pa {mine}"
    assert "BMP files cannot be signed" in bamkit(line, cwd=workspace, code=3).output


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("nothing.pem", "cannot be read"),
        ("root.pem", "holds no key and certificates"),
        ("turned.pem", "the first certificate in"),
        ("unfit.pem", "cannot sign Content Credentials"),
    ],
)
def test_what_cannot_sign_is_named_before_any_work(workspace, bamkit, file, said):
    pytest.importorskip("c2pa")
    certificates(workspace)
    (workspace / "unfit.pem").write_bytes(unfit())
    shown = bamkit(f"translate --c2pa {file}", cwd=workspace, code=3).output
    assert said in shown
    assert len(shown.strip().splitlines()) <= 2
    assert not (workspace / "translations").exists()


def unfit():
    """A certificate that says nothing of what it is for: C2PA refuses it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "x")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(9))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + builder.sign(key, hashes.SHA256()).public_bytes(pem)


def test_a_missing_package_is_named(workspace, bamkit, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "c2pa", None)
    shown = bamkit("translate --c2pa mine.pem", cwd=workspace, code=3).output
    assert "pip install 'bamkit[c2pa]'" in shown

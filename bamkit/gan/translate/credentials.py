"""Content Credentials (C2PA): translations signed with the user's own key and certificates.

A manifest says that a picture was opened, the source, and edited by a generative model, in which run. Nothing is asked
of the network: no time stamp, no revocation list. Signatures hold random numbers and the time, so that, unlike all
else that translate writes, signed files differ from call to call.
"""

from __future__ import annotations

import io
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

import bamkit
from bamkit.common.errors import BamkitError
from bamkit.common.pictures.generated import DIGITAL_SOURCE_TYPE

SETTINGS = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_trust": False}}
"""No thumbnail of the source inside the translation; whom to trust is for the reader of the file to decide."""
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
HOW = "a PEM file with the private key, then your certificate, then those above it"
SUPPORTED = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF")
"""Formats (by Pillow's names) that can be signed."""


class Credentials:
    """A key with its certificates. Signing from several threads is safe; one signs at a time."""

    def __init__(self, path: Path) -> None:
        """Raises BamkitError if c2pa-python is missing, or the file is not what it takes to sign."""
        try:
            import c2pa
            import cryptography  # noqa: F401  (reads the key)
        except ImportError as error:
            raise BamkitError("--c2pa needs the c2pa-python package", "pip install 'bamkit[c2pa]'") from error
        try:
            text = path.read_bytes()
        except OSError as error:
            raise BamkitError(f"{path} cannot be read: {error.strerror}", f"--c2pa FILE: {HOW}") from error
        algorithm, key, chain = _read_pem(path, text)
        self.id = sha256(chain).hexdigest()[:16]
        """Of the certificates."""
        self._lock = threading.Lock()
        try:
            self._context = c2pa.Context.from_dict(SETTINGS)
            self._signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, chain, key, None))
            self.sign(_dot(), "PNG", "probe.png", _dot(), "probe.png", {})
        except c2pa.C2paError as error:
            raise BamkitError(f"{path} cannot sign Content Credentials: {error}", f"--c2pa FILE: {HOW}") from error

    def sign(
        self, data: bytes, kind: str, title: str, source: bytes, source_name: str, parameters: dict[str, str]
    ) -> bytes:
        """The picture file `data` (of Pillow's format `kind`) with a manifest that names the source and `parameters`.

        What the source's own Content Credentials say is kept in it. Raises c2pa.C2paError where the format cannot be
        signed.
        """
        import c2pa

        software = {"name": "bamkit", "version": bamkit.__version__}
        edited = {
            "action": "c2pa.edited",
            "digitalSourceType": DIGITAL_SOURCE_TYPE,
            "softwareAgent": software,
            "parameters": parameters,
        }
        manifest: dict[str, Any] = {"claim_generator_info": [software], "title": title}
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["source"]}}
        manifest["assertions"] = [{"label": "c2pa.actions", "data": {"actions": [opened, edited]}}]
        parent = {"title": source_name, "relationship": "parentOf", "label": "source"}
        mime, result = _mime(source), io.BytesIO()
        with self._lock:
            builder = c2pa.Builder(manifest, context=self._context)
            try:
                builder.add_ingredient(parent, mime, io.BytesIO(source))
            except c2pa.C2paError:  # c2pa reads fewer formats and fewer odd files: then the name alone
                manifest["ingredients"] = [{**parent, "format": mime}]
                builder = c2pa.Builder(manifest, context=self._context)
            builder.sign(self._signer, Image.MIME[kind], io.BytesIO(data), result)
        return result.getvalue()


def _read_pem(path: Path, text: bytes) -> tuple[str, bytes, bytes]:
    """Algorithm, key (PKCS 8) and certificates as PEM. Raises BamkitError if they are not there or do not belong
    together."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
    )

    try:
        key = load_pem_private_key(text, None)
        certificates = x509.load_pem_x509_certificates(text)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: the key has a password
        raise BamkitError(f"{path} holds no key and certificates: {error}", f"--c2pa FILE: {HOW}") from error
    public = [
        each.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for each in (key.public_key(), certificates[0].public_key())
    ]
    if public[0] != public[1]:
        raise BamkitError(f"the first certificate in {path} is not that of the key", f"--c2pa FILE: {HOW}")
    algorithm = "ps256" if isinstance(key, rsa.RSAPrivateKey) else ""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = "ed25519"
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = CURVES.get(key.curve.name, "")
    if not algorithm:
        raise BamkitError(f"C2PA knows no signature with the key in {path}", "a key on P-256, P-384 or P-521, or RSA")
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
    return algorithm, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), chain


def _dot() -> bytes:
    """A picture of one pixel, to try the key on."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


def _mime(data: bytes) -> str:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return Image.MIME.get(image.format or "", "application/octet-stream")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return "application/octet-stream"

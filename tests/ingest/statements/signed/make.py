"""Makes the signed images beside this file: python tests/ingest/statements/signed/make.py (needs c2pa-python and cryptography).

Each is a picture of 16 pixels with a C2PA manifest, signed with a key that is made for it. Tests only read the images.
"""

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

HERE = Path(__file__).parent
FORMATS = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif", "tif": "image/tiff"}
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
FORBIDDEN = {
    "cawg.ai_inference": {"use": "allowed"},
    "cawg.ai_generative_training": {"use": "notAllowed"},
    "cawg.data_mining": {"use": "constrained", "constraint_info": "ask us"},
}
ALLOWED = {"cawg.ai_inference": {"use": "notAllowed"}, "cawg.ai_training": {"use": "allowed"}}
CONSTRAINED = {"c2pa.ai_training": {"use": "constrained", "constraint_info": "ask us"}}


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signed_by: ec.EllipticCurvePrivateKey
) -> bytes:
    """Returns a certificate in PEM; that of an issuer if it signs itself."""
    own = name == issuer
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer)]
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    extensions: list[tuple[Any, bool]] = [
        (x509.BasicConstraints(own, None), True),
        (x509.KeyUsage(digital_signature=not own, key_cert_sign=own, crl_sign=own, **usage), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_by.public_key()), False),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
    ]
    builder = x509.CertificateBuilder(names[1], names[0], key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(datetime(2026, 1, 1)).not_valid_after(datetime(2046, 1, 1))
    for extension, critical in extensions[: 4 if own else 5]:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signed_by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def signer() -> c2pa.Signer:
    """Returns a signer with a new key, and a new issuer of its certificate."""
    issuer, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    chain = certificate("signer", key, "issuer", issuer) + certificate("issuer", issuer, "issuer", issuer)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, key.private_bytes(*form), None))


def sign(name: str, kind: str, label: str, entries: dict[str, Any]) -> None:
    """Writes an image with one assertion of this label."""
    plain, signed = io.BytesIO(), io.BytesIO()
    part = (0.2, 0, 0.5, 0.3) if name == "allowed" else (-2, -1.5, 1, 1.5)  # two pictures, not duplicates
    picture = Image.effect_mandelbrot((16, 16), part, 20).convert("RGB")
    picture.save(plain, "TIFF" if kind == "tif" else "JPEG" if kind == "jpg" else kind.upper())
    plain.seek(0)
    actions = {"actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE}]}
    manifest = {
        "claim_generator_info": [{"name": "tagmill's tests", "version": "1"}],
        "title": name,
        "format": FORMATS[kind],
        "assertions": [{"label": "c2pa.actions", "data": actions}, {"label": label, "data": {"entries": entries}}],
    }
    small = c2pa.Context(settings=c2pa.Settings.from_dict({"builder": {"thumbnail": {"enabled": False}}}))
    c2pa.Builder(json.dumps(manifest), context=small).sign(signer(), FORMATS[kind], plain, signed)
    (HERE / f"{name}.{kind}").write_bytes(signed.getvalue())


if __name__ == "__main__":
    for kind in FORMATS:
        sign("forbidden", kind, "cawg.training-mining", FORBIDDEN)
    sign("allowed", "jpg", "cawg.training-mining", ALLOWED)
    sign("constrained", "jpg", "c2pa.training-mining", CONSTRAINED)

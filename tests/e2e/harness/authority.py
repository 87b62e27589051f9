"""A certificate authority for tests: any leaf a test can think of."""

import datetime
import hashlib
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

UTC = datetime.timezone.utc


def now():
    return datetime.datetime.now(UTC).replace(tzinfo=None, microsecond=0)


class Certificate:
    """A leaf or CA with its key; `path` and `key_path` are PEM files."""

    def __init__(self, folder, name, certificate, key, chain=()):
        self.certificate, self.key = certificate, key
        self.path = pathlib.Path(folder) / f"{name}.crt"
        self.key_path = pathlib.Path(folder) / f"{name}.key"
        pem = serialization.Encoding.PEM
        self.path.write_bytes(certificate.public_bytes(pem)
                              + b"".join(c.certificate.public_bytes(pem) for c in chain))
        self.key_path.touch(mode=0o600)
        self.key_path.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8,
                                                    serialization.NoEncryption()))

    @property
    def sha256(self):
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).digest()


class Authority:
    def __init__(self, folder, name="ca", issuer=None, constraints=None, days=30.0):
        self.folder, self.name = pathlib.Path(folder), name
        self.folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {name}")])
        builder = (x509.CertificateBuilder().subject_name(subject)
                   .issuer_name(issuer.root.certificate.subject if issuer else subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now() - datetime.timedelta(days=1))
                   .not_valid_after(now() + datetime.timedelta(days=days))
                   .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                   .add_extension(key_usage(sign_certificates=True), critical=True))
        if constraints is not None:
            builder = builder.add_extension(constraints, critical=True)
        certificate = builder.sign(issuer.root.key if issuer else key, hashes.SHA256())
        self.root = Certificate(self.folder, name, certificate, key)

    def issue(self, name, *, spiffe=None, uris=None, dns=(), ips=(), common_name=None, client=True,
              server=False, days=10.0, starts_days=-1.0, is_ca=False, subject=None, key=None,
              chain=()):
        key = key or ec.generate_private_key(ec.SECP256R1())
        if subject is None:
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or name)])
        names = [x509.UniformResourceIdentifier(u) for u in (uris or ([spiffe] if spiffe else []))]
        names += [x509.DNSName(d) for d in dns]
        names += [x509.IPAddress(ipaddress.ip_address(i)) for i in ips]
        usages = ([ExtendedKeyUsageOID.CLIENT_AUTH] if client else [])
        usages += [ExtendedKeyUsageOID.SERVER_AUTH] if server else []
        builder = (x509.CertificateBuilder().subject_name(subject)
                   .issuer_name(self.root.certificate.subject).public_key(key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now() + datetime.timedelta(days=starts_days))
                   .not_valid_after(now() + datetime.timedelta(days=days))
                   .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
                   .add_extension(key_usage(sign_certificates=is_ca), critical=True))
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.root.key, hashes.SHA256())
        return Certificate(self.folder, name, certificate, key, chain)

    def crl(self, revoked=(), name="crl"):
        builder = (x509.CertificateRevocationListBuilder()
                   .issuer_name(self.root.certificate.subject)
                   .last_update(now() - datetime.timedelta(hours=1))
                   .next_update(now() + datetime.timedelta(days=1)))
        for leaf in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(leaf.certificate.serial_number)
                .revocation_date(now() - datetime.timedelta(minutes=5)).build())
        path = self.folder / f"{name}.pem"
        path.write_bytes(builder.sign(self.root.key, hashes.SHA256())
                         .public_bytes(serialization.Encoding.PEM))
        return path


def key_usage(sign_certificates):
    return x509.KeyUsage(digital_signature=True, content_commitment=False, key_encipherment=False,
                         data_encipherment=False, key_agreement=False, key_cert_sign=sign_certificates,
                         crl_sign=sign_certificates, encipher_only=False, decipher_only=False)

"""The certificate of one run: whoever has it belongs to the cluster, nobody else."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed.security import Security

LONGEST = 30 * 86400.0  # s a certificate is valid, of a run without a limit
MARGIN = 86400.0  # s before and after: clocks of hosts differ, runs end late
REQUIRED = "distributed.comm.require-encryption"
ROLES = ("client", "scheduler", "worker")
LIMITS = ("ciphers", "min-version", "max-version")  # None: those of OpenSSL and Dask


@dataclass(frozen=True)
class Keys:
    """A certificate that is its own authority, and its key, as PEM.

    They live in memory alone, and travel over MPI and pipes; a file holds them only if
    it was asked for (`mpiapps.dasking.connection`).
    """

    certificate: str
    key: str = field(repr=False)

    def security(self) -> Security:
        """Return what distributed wants: TLS for all, both sides show this. Local.

        Ciphers and versions are ours as well: a site's may not fit the certificate.
        """
        from distributed.security import Security

        return Security(
            require_encryption=True,
            tls_ciphers=None,
            tls_min_version=None,
            tls_max_version=None,
            tls_ca_file=self.certificate,
            **{f"tls_{role}_cert": self.certificate for role in ROLES},
            **{f"tls_{role}_key": self.key for role in ROLES},
        )

    def config(self) -> dict[str, Any]:
        """Return the settings of Dask by which ``Client()`` finds these. Local."""
        pair = {"cert": self.certificate, "key": self.key}
        found: dict[str, Any] = {
            f"distributed.comm.tls.{role}.{part}": text
            for role in ROLES
            for part, text in pair.items()
        }
        found |= {f"distributed.comm.tls.{name}": None for name in LIMITS}
        found["distributed.comm.tls.ca-file"] = self.certificate
        found[REQUIRED] = True
        return found


def make_keys(seconds: float = LONGEST) -> Keys:
    """Return a new pair, valid for a run that may last `seconds`. Local.

    An elliptic curve (P-256, FIPS 186-5): made in a millisecond, unlike RSA's.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "mpiapps-dask")])
    now = datetime.datetime.now(datetime.UTC)
    margin = datetime.timedelta(seconds=MARGIN)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - margin)
        .not_valid_after(now + datetime.timedelta(seconds=seconds) + margin)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return Keys(public.decode(), private.decode())

"""The TLS credentials of one run, which authenticate its processes and clients."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed.security import Security

MAX_VALIDITY_SECONDS = 30 * 86400.0  # of a certificate for a run without a limit
CLOCK_MARGIN_SECONDS = 86400.0  # before and after: clocks differ, runs end late
REQUIRED = "distributed.comm.require-encryption"
SECURITY_LOADER = "distributed.client.security-loader"
ROLES = ("client", "scheduler", "worker")
TLS_LIMITS = ("ciphers", "min-version", "max-version")  # None: defaults of OpenSSL


@dataclass(frozen=True)
class TLSCredentials:
    """A self-signed certificate and its key, as PEM.

    They are kept in memory and sent over MPI and sockets; only a scheduler file stores
    them (`mpiapps.dask_cluster.scheduler_file`).
    """

    certificate: str
    key: str = field(repr=False)

    def security(self) -> Security:
        """Return distributed's `Security`: mutual TLS for all roles.

        Ciphers and versions are reset, as a site's may not fit the certificate.
        """
        from mpiapps.dask_cluster.tls_errors import ClearingSecurity

        return ClearingSecurity(
            require_encryption=True,
            tls_ciphers=None,
            tls_min_version=None,
            tls_max_version=None,
            tls_ca_file=self.certificate,
            **{f"tls_{role}_cert": self.certificate for role in ROLES},
            **{f"tls_{role}_key": self.key for role in ROLES},
        )

    def config(self) -> dict[str, Any]:
        """Return the Dask settings with which ``Client()`` uses these credentials."""
        pair = {"cert": self.certificate, "key": self.key}
        settings: dict[str, Any] = {
            f"distributed.comm.tls.{role}.{part}": text
            for role in ROLES
            for part, text in pair.items()
        }
        settings |= {f"distributed.comm.tls.{name}": None for name in TLS_LIMITS}
        settings["distributed.comm.tls.ca-file"] = self.certificate
        settings[REQUIRED] = True
        settings[SECURITY_LOADER] = "mpiapps.dask_cluster.tls_errors.from_settings"
        return settings


def self_signed(seconds: float = MAX_VALIDITY_SECONDS) -> TLSCredentials:
    """Return new credentials, valid for a run of up to `seconds`; 0, inf: unknown.

    The elliptic curve P-256 (FIPS 186-5) takes a millisecond; RSA is slower.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if seconds in (0.0, float("inf")):
        seconds = MAX_VALIDITY_SECONDS
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "mpiapps-dask")])
    now = datetime.datetime.now(datetime.UTC)
    margin = datetime.timedelta(seconds=CLOCK_MARGIN_SECONDS)
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
    return TLSCredentials(public.decode(), private.decode())

"""nginx, Caddy and HAProxy with the files of deploy/, changed as an operator has to change them."""

import datetime
import re
import socket
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.deploy.installed import ROOT
from tests.support.daemon import Daemon
from tests.support.tools import require

DEPLOY = ROOT / "deploy"
NAMES = ("localhost", "127.0.0.1")
PROBE_SECONDS = 2.0


class Certificate(NamedTuple):
    """A certificate that signs itself: its file, its key's, and both in one."""

    public: Path
    key: Path
    both: Path

    @classmethod
    def make(cls, directory: Path) -> "Certificate":
        """Make one for this machine."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAMES[0])])
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName(NAMES[0]), x509.IPAddress(ip_address(NAMES[1]))]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        public = certificate.public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        made = cls(directory / "cert.pem", directory / "key.pem", directory / "both.pem")
        made.public.write_bytes(public)
        made.key.write_bytes(secret)
        made.both.write_bytes(public + secret)
        return made


class Proxy(Daemon):
    """A proxy that speaks TLS on its port, in front of one Parley."""

    file: str
    program: str

    def __init__(self, directory: Path, certificate: Certificate) -> None:
        super().__init__(directory)
        self.certificate = certificate
        self.path = require(self.program, self.program)
        self.configuration = directory / self.file

    def configure(self, instance: int) -> None:
        """Write the file of deploy/ with the names and ports of this machine."""
        text = (DEPLOY / self.file).read_text()
        for written, here in self.changes(instance):
            text, count = re.subn(written, here, text, flags=re.MULTILINE)
            assert count, f"{self.file} has no {written}"
        self.configuration.write_text(text)

    def changes(self, instance: int) -> list[tuple[str, str]]:
        """What has to be changed: patterns, and what stands there then."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it speaks TLS."""
        trust = ssl.create_default_context(cafile=str(self.certificate.public))
        try:
            with (
                socket.create_connection((self.host, self.port), timeout=PROBE_SECONDS) as plain,
                trust.wrap_socket(plain, server_hostname=NAMES[0]),
            ):
                return True
        except OSError:
            return False


class Nginx(Proxy):
    """The file stands in conf.d, which Debian's own nginx.conf includes."""

    file, program = "nginx.conf", "nginx"

    def changes(self, instance: int) -> list[tuple[str, str]]:
        """Names, ports, certificate; and only one server: port 80 may be taken."""
        return [
            (r"server 127\.0\.0\.1:3000;", f"server 127.0.0.1:{instance};"),
            (r"listen 80;", f"listen 127.0.0.1:{self.port + 1 if self.port < 65535 else 1024};"),
            (r"listen 443 ssl http2;", f"listen {self.host}:{self.port} ssl http2;"),
            (r"server_name chat\.example\.com;", f"server_name {' '.join(NAMES)};"),
            (r"ssl_certificate  .*;", f"ssl_certificate {self.certificate.public};"),
            (r"ssl_certificate_key .*;", f"ssl_certificate_key {self.certificate.key};"),
        ]

    def configure(self, instance: int) -> None:
        """Write the file, and around it what a distribution has."""
        super().configure(instance)
        places = "".join(
            f"{name}_temp_path {self.directory}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.directory / "whole.conf").write_text(
            f"pid {self.directory}/pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{places}include {self.configuration};\n}}\n"
        )

    def command(self) -> list[str]:
        """The program in the foreground."""
        whole = str(self.directory / "whole.conf")
        return [str(self.path), "-p", str(self.directory), "-c", whole, "-g", "daemon off;"]


class Caddy(Proxy):
    """Caddy with a certificate of its own, since no authority knows this machine."""

    file, program = "Caddyfile", "caddy"

    def changes(self, instance: int) -> list[tuple[str, str]]:
        """Names, ports and certificate; no administration port and no redirect from port 80."""
        files = f"{self.certificate.public} {self.certificate.key}"
        site = f"https://{NAMES[0]}:{self.port} {{\n\ttls {files}"
        return [
            (r"^\{\$SITE:chat\.example\.com\} \{", site),
            (r"\A", "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"),
        ]

    def configure(self, instance: int) -> None:
        """Write the file, which names its upstream by a variable."""
        super().configure(instance)
        self._upstream = f"127.0.0.1:{instance}"

    def environment(self) -> dict[str, str]:
        """Its upstream, and places of its own for what it keeps."""
        kept = str(self.directory)
        places = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), kept)
        return {**places, "PARLEY": self._upstream}

    def command(self) -> list[str]:
        """The program in the foreground."""
        return [str(self.path), "run", "--config", str(self.configuration)]


class TlsHAProxy(Proxy):
    """HAProxy with the line for TLS switched on; of its two instances only one is there."""

    file, program = "haproxy.cfg", "haproxy"

    def changes(self, instance: int) -> list[tuple[str, str]]:
        """Ports and certificate."""
        bind = f"    bind {self.host}:{self.port} ssl crt {self.certificate.both}"
        return [
            (r"^    bind :3000$", ""),
            (r"^    #bind :443 ssl crt \S+", bind),
            (r"^    #http-request redirect", "    http-request redirect"),
            (r"127\.0\.0\.1:3001", f"127.0.0.1:{instance}"),
            (r"127\.0\.0\.1:3002", "127.0.0.1:1"),
            (r"inter 2s", "inter 500ms"),
            (r"/run/haproxy/admin\.sock", str(self.directory / "admin.sock")),
        ]

    def command(self) -> list[str]:
        """The program in the foreground."""
        return [str(self.path), "-db", "-f", str(self.configuration)]


PROXIES = (Nginx, Caddy, TlsHAProxy)

"""A throw-away S3: moto's server, which keeps everything in memory."""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import httpx

from tests.support.daemon import Daemon

REGION = "us-east-1"
# Any will do: it checks no signature, but a client has none to make without them.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something"}


class S3(Daemon):
    """One private server; a restart comes back empty."""

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}"

    def command(self) -> list[str]:
        """The program of the package moto."""
        return [sys.executable, "-m", "moto.server", "-H", self.host, "-p", str(self.port)]

    def answers(self) -> bool:
        """Whether it lists its buckets."""
        try:
            return httpx.get(self.endpoint).is_success
        except httpx.TransportError:
            return False

    def storage_url(self, bucket: str, prefix: str) -> str:
        """The address as STORAGE_URL wants it."""
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}&region={REGION}"

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket."""
        httpx.put(f"{self.endpoint}/{bucket}").raise_for_status()

    def names(self, bucket: str) -> list[str]:
        """Return the names of all that is kept, parts that were never put together too."""
        listed = httpx.get(f"{self.endpoint}/{bucket}", params={"list-type": "2"}).text
        begun = httpx.get(f"{self.endpoint}/{bucket}?uploads").text
        return [unquote(name) for name in re.findall("<Key>([^<]*)</Key>", listed + begun)]


@contextmanager
def s3_server() -> Iterator[S3]:
    """A running private S3, ended on the way out."""
    with tempfile.TemporaryDirectory(prefix="parley-s3-") as directory:
        server = S3(Path(directory))
        try:
            server.start()
            yield server
        finally:
            server.kill()

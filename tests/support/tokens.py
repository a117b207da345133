"""Identity tokens like Google's, signed with a key of the test, and the server that publishes the key's certificate."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.auth import crypt, jwt

ACCOUNT = "pusher@retention.iam.gserviceaccount.com"


class Signer:
    """A private key and its certificate."""

    def __init__(self, name: str) -> None:
        self.name = name
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.private_key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "federated-signon")])
        now = datetime.now(UTC)
        certificate = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        certificate = certificate.not_valid_before(now).not_valid_after(now + timedelta(days=1))
        self.certificate = certificate.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def token(self, **claims: object) -> str:
        """A token for Pub/Sub's account and our audience, valid for an hour; `claims` replace or (None) remove some."""
        now = int(time.time())
        defaults = {"iss": "https://accounts.google.com", "aud": "retention", "email": ACCOUNT, "email_verified": True}
        payload = {**defaults, "iat": now, "exp": now + 3600, **claims}
        signer = crypt.RSASigner.from_string(self.private_key, self.name)
        token: bytes = jwt.encode(signer, {name: value for name, value in payload.items() if value is not None})
        return token.decode()


class PublishedKeys:
    """The signers whose certificates a server publishes, its URL, and the number of requests to it."""

    def __init__(self, *signers: Signer) -> None:
        self.signers, self.requests, self.url = list(signers), 0, ""


@contextlib.contextmanager
def key_server(*signers: Signer) -> Iterator[PublishedKeys]:
    keys = PublishedKeys(*signers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.requests += 1
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({s.name: s.certificate for s in keys.signers}).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        keys.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield keys
        finally:
            server.shutdown()
            thread.join()

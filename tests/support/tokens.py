"""Identity tokens as Google signs them, by a key of our own, and the server where that key is found."""

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
    """A key, and its certificate as Google publishes them."""

    def __init__(self, name: str) -> None:
        self.name = name
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "federated-signon")])
        now = datetime.now(UTC)
        certificate = x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
        certificate = certificate.not_valid_before(now).not_valid_after(now + timedelta(days=1))
        self.certificate = certificate.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def token(self, **claims: object) -> str:
        """For Pub/Sub's account and our audience, for an hour, unless `claims` say otherwise; None takes one away."""
        now = int(time.time())
        usual = {"iss": "https://accounts.google.com", "aud": "retention", "email": ACCOUNT, "email_verified": True}
        said = {**usual, "iat": now, "exp": now + 3600, **claims}
        signer = crypt.RSASigner.from_string(self.private, self.name)
        return jwt.encode(signer, {k: v for k, v in said.items() if v is not None}).decode()


class Keys:
    """What the server publishes, and how often it was asked."""

    def __init__(self, *signers: Signer) -> None:
        self.signers, self.asked, self.url = list(signers), 0, ""


@contextlib.contextmanager
def key_server(*signers: Signer) -> Iterator[Keys]:
    keys = Keys(*signers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.asked += 1
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

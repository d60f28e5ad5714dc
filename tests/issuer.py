"""An authorization server for tests: a real one as far as its clients see, with keys of its own, over HTTP."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

MAKERS = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
AUDIENCE = "https://igla.example/mcp"


class TestIssuer:
    """Publishes its metadata and its keys, and signs what it is asked to. `asked` counts fetches of the keys."""

    __test__ = False

    def __init__(self):
        self.private = {}
        self.status, self.asked = 200, 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, request):
        documents = {
            "/.well-known/oauth-authorization-server": {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": {"keys": [self.public(kid, alg) for kid, (alg, _) in self.private.items()]},
        }
        found = documents.get(request.path)
        self.asked += request.path == "/keys"
        body = json.dumps(found).encode()
        request.send_response(404 if found is None else self.status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def add(self, kid, alg):
        self.private[kid] = (alg, MAKERS[alg]())

    def public(self, kid, alg):
        kind = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm}
        made = kind.get(alg, jwt.algorithms.OKPAlgorithm).to_jwk(self.private[kid][1].public_key(), as_dict=True)
        return {**made, "kid": kid, "use": "sig"}

    def pem(self, kid):
        return (
            self.private[kid][1]
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    def claims(self, **other):
        now = time.time()
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "exp": now + 300, "scope": "igla:read igla:submit"}
        return {name: value for name, value in {**usual, "iat": now, **other}.items() if value is not None}

    def token(self, kid="one", headers=None, **other):
        alg, key = self.private[kid]
        return jwt.encode(self.claims(**other), key, alg, headers={"kid": kid, **(headers or {})})


@contextmanager
def issuing():
    """An issuer that answers, with one key of each kind."""
    issuer = TestIssuer()
    for kid, alg in (("one", "RS256"), ("two", "ES256"), ("three", "EdDSA")):
        issuer.add(kid, alg)
    thread = threading.Thread(target=issuer.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.http.shutdown()
        issuer.http.server_close()
        thread.join()

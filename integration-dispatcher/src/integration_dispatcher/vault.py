"""Stored secrets, encrypted with AES-256-GCM. Each value names its key, so that keys can be changed one after the other.

Source: NIST SP 800-38D (a random 96-bit nonce per value)."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from shared_models.schemas import Metadata

NONCE_BYTES = 12


class CannotDecrypt(Exception):
    """The key of a stored secret is not here any more, or the value was changed."""


class Vault:
    """`keys`: 32 bytes each; the first one encrypts, all decrypt."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = list(keys)
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._key_id = _key_id(keys[0])

    @property
    def key_id(self) -> str:
        """The beginning of everything that the present key has sealed, up to the first dot."""
        return self._key_id

    def seal(self, values: Metadata, owner: str) -> str:
        """Encrypt. `owner` (who and what it is for) is bound to the text: it opens for no other."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[self._key_id].encrypt(nonce, orjson.dumps(values), owner.encode())
        return f"{self._key_id}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, owner: str) -> Metadata:
        """Raises CannotDecrypt."""
        key_id, _, text = sealed.partition(".")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise CannotDecrypt(f"no key {key_id}")
        try:
            raw = base64.b64decode(text, validate=True)
            values: Metadata = orjson.loads(cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], owner.encode()))
        except (InvalidTag, binascii.Error, ValueError) as exc:
            raise CannotDecrypt("the value was changed") from exc
        return values

    def digest(self, text: str) -> str:
        """A keyed hash of something short: without the key nobody finds it by trying."""
        return _digest(self._keys[0], text)

    def is_digest(self, text: str, digest: str) -> bool:
        """True if `digest` was made of `text`, with any of the keys."""
        return any(hmac.compare_digest(_digest(key, text), digest) for key in self._keys)


def _digest(key: bytes, text: str) -> str:
    own_key = hashlib.sha256(b"self-service-agent digest key" + key).digest()
    return hmac.new(own_key, text.encode(), hashlib.sha256).hexdigest()


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"self-service-agent key id" + key).hexdigest()[:8]

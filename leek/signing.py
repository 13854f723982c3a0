"""Text that carries a signature made with the site's SECRET_KEY."""

from functools import lru_cache
from hmac import HMAC

from django.conf import settings
from django.core.signing import BadSignature, Signer, b64_encode
from django.utils.crypto import salted_hmac

from leek.exceptions import InvalidPayload

_SALT = "leek.payload"


def sign(text: str) -> str:
    """Return the text with its signature behind it."""
    return _current_signer().sign(text)


def verified(signed: str) -> str:
    """Return the text that was signed; raise InvalidPayload where it is another one."""
    try:
        return _current_signer().unsign(signed)
    except BadSignature:
        raise InvalidPayload(
            "the payload is damaged, or was signed with another SECRET_KEY"
            " (put a former one into SECRET_KEY_FALLBACKS)"
        ) from None


class _QuickSigner(Signer):
    """Django's Signer, which does only once what is the same in all signatures."""

    def signature(self, value: str | bytes, key: str | bytes | None = None) -> str:
        """Return the signature that Django's Signer gives to this value."""
        mac = _keyed_hmac(_SALT + "signer", key or self.key, self.algorithm).copy()
        mac.update(value.encode() if isinstance(value, str) else value)
        return b64_encode(mac.digest()).decode()


@lru_cache(maxsize=16)
def _keyed_hmac(salt: str, key: str | bytes, algorithm: str) -> HMAC:
    return salted_hmac(salt, "", key, algorithm=algorithm)


@lru_cache(maxsize=4)
def _signer(key: str | bytes, fallbacks: tuple[str | bytes, ...]) -> Signer:
    return _QuickSigner(key=key, fallback_keys=list(fallbacks), salt=_SALT)


def _current_signer() -> Signer:
    return _signer(settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS))

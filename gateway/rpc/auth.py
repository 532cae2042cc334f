"""Who somebody is: credentials to principals, and which of those are gone after a change."""

import hmac
import secrets
from collections.abc import Iterator
from typing import Final

import attrs

from gateway.config.model import ALL_SCOPES, Auth
from gateway.config.setting import Secret

PASSWORD_NAME: Final = "password"  # noqa: S105  the name of a principal, no secret
"""Name of the principal that the password stands for; no token may look like it."""


@attrs.frozen
class Principal:
    """Somebody who has shown a credential, and what it allows.

    *role* is ``control`` or ``node``.  *stamp* changes with the credential, so that two
    principals are equal only if nothing about them has changed; it reveals nothing.
    """

    name: str
    role: str
    scopes: frozenset[str]
    stamp: bytes = attrs.field(default=b"", repr=False)


@attrs.define
class Authenticator:
    """Knows the credentials of the running configuration, as keyed digests only."""

    _auth: Auth = attrs.field(factory=Auth, alias="auth", repr=False)
    _key: bytes = attrs.field(factory=lambda: secrets.token_bytes(32), init=False, repr=False)
    _tokens: dict[bytes, Principal] = attrs.field(factory=dict, init=False, repr=False)
    _passwords: dict[bytes, Principal] = attrs.field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.apply(self._auth)

    def apply(self, auth: Auth) -> frozenset[Principal]:
        """Use *auth* from now on; return the principals that no longer are as they were.

        Whoever is among them has to be cut off: `Hub.revoke`.
        """
        before = self.principals
        self._auth = auth
        self._tokens = dict(self._of_tokens(auth))
        self._passwords = dict(self._of_password(auth))
        return before - self.principals

    @property
    def principals(self) -> frozenset[Principal]:
        """Everybody who could connect."""
        return frozenset([*self._tokens.values(), *self._passwords.values()])

    def verify_token(self, token: str) -> Principal | None:
        """Return whose *token* it is; takes as long for a wrong one as for a right one."""
        return self._verify(token, self._tokens)

    def verify_password(self, password: str) -> Principal | None:
        """Return who is allowed in by *password*; the time tells nothing."""
        return self._verify(password, self._passwords)

    def verify(self, word: str) -> Principal | None:
        """Return whose token or password *word* is, for HTTP Basic which has one field."""
        token, password = self.verify_token(word), self.verify_password(word)
        return token or password

    def _verify(self, word: str, known: dict[bytes, Principal]) -> Principal | None:
        digest, found = self._digest(word), None
        for candidate, principal in known.items():
            # No early exit: neither which one it is nor whether there is one shows in time.
            if hmac.compare_digest(candidate, digest):
                found = principal
        return found

    def _of_tokens(self, auth: Auth) -> Iterator[tuple[bytes, Principal]]:
        for name, token in auth.tokens.items():
            if digest := self._digest_of(token.token):
                yield digest, Principal(name, token.role, frozenset(token.scopes), digest)

    def _of_password(self, auth: Auth) -> Iterator[tuple[bytes, Principal]]:
        if auth.password and (digest := self._digest_of(auth.password)):
            yield digest, Principal(PASSWORD_NAME, "control", frozenset(ALL_SCOPES), digest)

    def _digest_of(self, secret: Secret) -> bytes | None:
        # An empty secret is none: it must never verify.  Source: CVE-2026-25474.
        return self._digest(secret.value) if secret.value else None

    def _digest(self, word: str) -> bytes:
        # Equal lengths whatever the word, under a key nobody knows: no prefix can be found.
        return hmac.digest(self._key, word.encode(errors="surrogatepass"), "sha256")

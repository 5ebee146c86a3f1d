"""Logging in with a registered key, without the key ever leaving its owner's machine.

`spice console login` asks the console for a challenge, signs it, and gets a link that is good once. The challenge
names the console's address as its user typed it, so that an answer given to one console is worth nothing at another.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from spice.console.sessions import Secrets
from spice.errors import RefusedError
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring
from spice.trust.ledger import Clock
from spice.trust.signing import Signer, verify

KIND = "console-login"
_PATIENCE = timedelta(minutes=3)


class Logins:
    """Challenges that were posed and links that were given, each good once and for a short time."""

    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self._store = store
        self._challenges: Secrets[bool] = Secrets(_PATIENCE, clock)
        self._codes: Secrets[str] = Secrets(_PATIENCE, clock)

    def challenge(self) -> str:
        """Something new to sign."""
        return self._challenges.issue(True)

    def answer(self, name: str, audience: str, challenge: str, signature: str, origins: Collection[str]) -> str:
        """A code that logs `name` in once, for the right answer to a challenge.

        Raises:
            RefusedError: the challenge is not ours or too old, meant for another console, or not signed by that key.
        """
        if self._challenges.take(challenge) is None:
            raise RefusedError("This challenge is unknown, used or too old. Run `spice console login` again.")
        if audience not in origins:
            raise RefusedError(f"This answer was made for {audience}. This console is {', '.join(sorted(origins))}.")
        key = Keyring(self._store).get(name)
        if not verify(key.public_key, KIND, statement(name, audience, challenge), signature):
            raise RefusedError(f"This is not the signature of the key registered as {name}.")
        return self._codes.issue(name)

    def peek(self, code: str) -> str | None:
        """Whom a code would log in."""
        return self._codes.get(code)

    def redeem(self, code: str) -> str | None:
        """Whom a code logs in; it is used up."""
        return self._codes.take(code)


def sign(signer: Signer, audience: str, challenge: str) -> str:
    """The answer to a challenge of the console at `audience`."""
    return signer.sign(KIND, statement(signer.name, audience, challenge))


def statement(name: str, audience: str, challenge: str) -> dict[str, str]:
    """What is signed."""
    return {"audience": audience, "challenge": challenge, "name": name}

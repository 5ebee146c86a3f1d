"""Whose key signs what a person does in the console."""

from __future__ import annotations

from pathlib import Path

from spice.console.identity import Person
from spice.errors import RefusedError
from spice.store.base import ObjectStore
from spice.trust.keyring import Keyring
from spice.trust.keys import load_signer
from spice.trust.signing import Signer


class Signers:
    """The person's own key if it is on this machine, else the console's, which then names the person.

    The console's key needs the role `delegate`, and each role that people may use through the console.

    Args:
        store: where keys are registered.
        folder: the private keys of this machine.
        delegate: the name of the console's own key, with the role `delegate`.
    """

    def __init__(self, store: ObjectStore, folder: Path, delegate: str) -> None:
        self._store = store
        self._folder = folder
        self._delegate = delegate

    def __call__(self, person: Person) -> Signer:
        """Whoever signs for `person`. Raises `RefusedError` if this console can sign for nobody but itself."""
        if person.principal.method == "key" and person.registered:
            own = self._own(person.registered)
            if own is not None:
                return own
        if not self._present(self._delegate):
            raise RefusedError(
                f"This console has no key to sign with, so nothing was done. Its operator makes one with `spice keys "
                f"create {self._delegate}` with --role delegate and a --role for each that its visitors may use."
            )
        return load_signer(self._delegate, self._folder).acting_for(person.principal)

    def _own(self, name: str) -> Signer | None:
        if not self._present(name):
            return None
        signer = load_signer(name, self._folder)
        # A key of that name that was never registered here, or was replaced, is somebody else's.
        return signer if Keyring(self._store).get(name).public_key == signer.public_key else None

    def _present(self, name: str) -> bool:
        return (self._folder / f"{name}.pem").exists()

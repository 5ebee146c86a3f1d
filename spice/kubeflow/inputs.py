"""From the fields of a Kubeflow form to what a stage takes: settings, documents, a run's name, a signer.

A field that is left empty means "as the platform was installed": the chart gives every pod the store's address and
its credentials as environment variables, under the names that `spice.settings` and `spice.store` read anywhere.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from spice import settings
from spice.config import Config
from spice.config.names import require_run_name
from spice.errors import ConfigError, CorpusError
from spice.store import ObjectStore, open_store
from spice.trust.enrol import own_signer
from spice.trust.keyring import Keyring
from spice.trust.keys import key_folder, load_signer
from spice.trust.signing import Signer

MOUNTED_KEYS = Path("/etc/spice/keys")
"""Where a pod finds the private keys of its stage, mounted from a Secret."""

_JOB_DIGITS = 8


def configure(
    preset: str, assignments: Sequence[str], store: str = "", environ: Mapping[str, str] = os.environ
) -> Config:
    """The configuration that the fields `preset`, `settings` and `store` of a form ask for.

    Raises:
        ConfigError: as `spice.settings.resolve` does.
    """
    given = [f"store.url={store}"] if store else []
    return settings.resolve(preset or None, None, environ, [*assignments, *given]).config


def run_name(run: str, dataset: str, job: str, recipe: str = "") -> str:
    """The name of a pipeline's run: the given one, else one made of the dataset's name and the pipeline job's id.

    A job that trains several recipes has a run for each, whose name ends in the recipe's.

    Raises:
        ConfigError: that is no name for a run.
    """
    parts = (run or f"{dataset}-{job[:_JOB_DIGITS]}", recipe.replace("_", "-"))
    return require_run_name("-".join(part for part in parts if part))


@contextmanager
def documents(location: str, config: Config, environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """The documents at `location` as a local folder, for as long as the block runs.

    Args:
        location: a folder or file that the pod can see, or `s3://bucket/prefix` on the store's own S3 service.
        config: says which service that is.
        environ: holds its credentials.

    Raises:
        CorpusError: there is nothing there.
        StoreError: the bucket cannot be read.
    """
    if "://" not in location:
        yield Path(location)
        return
    source = open_store(config.store.model_copy(update={"url": location}), environ)
    with tempfile.TemporaryDirectory(prefix="spice-documents-") as temporary:
        folder = Path(temporary) / "documents"
        # Some tools put an empty object where they show a folder.
        keys = [info.key for info in source.list("") if not info.key.endswith("/")]
        for key in keys:
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            source.get_file(key, folder / key)
        if not keys:
            raise CorpusError(f"There is no object under {location}. Check the bucket and the prefix.")
        yield folder


@contextmanager
def signer(
    store: ObjectStore, name: str, clock: Callable[[], datetime], mounted: Path = MOUNTED_KEYS
) -> Iterator[Signer]:
    """The signer `name`, from a mounted Secret if the pod has one, else from this user's own keys.

    Kubernetes mounts a Secret readable by the pod's group, which `load_signer` rightly refuses on a shared machine.
    So the key is copied into a folder that only this process's user can read.

    Raises:
        ConfigError: no name was given.
        RefusedError: there is no such key, or it does not count in this store.
    """
    if not name:
        raise ConfigError("Nobody is named to sign this. Give the name of a registered key; see `spice keys list`.")
    secret = mounted / f"{name}.pem"
    if not secret.is_file():
        yield own_signer(store, name, key_folder(), clock)
        return
    with tempfile.TemporaryDirectory(prefix="spice-key-") as temporary:
        private = Path(temporary) / secret.name
        private.touch(mode=0o600)
        shutil.copyfile(secret, private)
        found = load_signer(name, private.parent)
        Keyring(store).require(found)
        yield found

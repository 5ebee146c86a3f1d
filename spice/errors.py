"""The errors that SPICE raises on purpose.

Every message says what was wrong, where, and what to do about it. The command
line prints the message alone and turns the class into an exit code
(`exit_code`): 1 refused or failed, 2 wrong usage.
"""


class SpiceError(Exception):
    """Anything that went wrong for a reason we can name."""

    exit_code = 1


class ConfigError(SpiceError):
    """The configuration, an option or an input file is not what was expected."""

    exit_code = 2


class CorpusError(SpiceError):
    """The documents cannot become a dataset version."""


class StoreError(SpiceError):
    """The store cannot be read or written."""


class NotFoundError(StoreError):
    """No object of that name is in the store."""


class ConflictError(StoreError):
    """Someone else created or changed the object first."""


class IntegrityError(StoreError):
    """Bytes in the store are not the bytes that were put there."""


class ModelError(SpiceError):
    """A model cannot be loaded, or must not be."""


class TrainingError(SpiceError):
    """Training cannot start, continue or resume."""


class RefusedError(SpiceError):
    """A guardrail said no, or could not be read, which counts as no."""


class ClusterError(SpiceError):
    """Kubernetes or Kubeflow cannot be reached, or refused."""

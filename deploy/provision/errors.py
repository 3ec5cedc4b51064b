"""The error of provisioning."""


class ProvisioningError(Exception):
    """The broker or the database refused a part of the installation. The message never holds a password."""

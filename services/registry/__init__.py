"""The registry keeps one file per child. After intake it is the only service that can read identities."""

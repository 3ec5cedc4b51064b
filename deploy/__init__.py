"""Installing and running Hutong: provisioning, the supervisor, the embedded stack, the counties' data."""

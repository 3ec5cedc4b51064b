"""Installing and running Hutong: the command line, the embedded stack, the counties' data."""

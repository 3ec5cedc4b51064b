"""One file per child, and the only one who knows names."""

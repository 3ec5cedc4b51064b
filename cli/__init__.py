"""What `hutong` can do, a module for each kind of user; `cli.main` mounts them."""

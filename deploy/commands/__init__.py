"""What `hutong` can do, a module for each kind of user; `deploy.cli` mounts them."""

"""A county's data: the reader of its folder, the checks of what is in it, and the citations of its policy."""

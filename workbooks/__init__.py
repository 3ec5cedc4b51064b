"""Units' workbooks: reading one as it stands, and giving it back with what must be mended marked in it."""

"""What intake decides: how a cell is read, whom a row names, which file is taken, who may do what."""

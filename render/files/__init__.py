"""Files that are whole or absent: atomic writes, the names of outputs, and the owners of partial files."""

"""Files that are complete or absent: atomic writes, partial files and their writers, and folders."""

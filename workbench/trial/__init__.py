"""`smelt try`: local files through the real pipeline, and the account of every row."""

"""Tools for authors of contracts: check files, name what a change breaks, write field ids. Nothing here prints."""

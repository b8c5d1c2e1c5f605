"""Data contracts: `model` and `quality` hold what a contract says, `loader` reads it from ODCS v3 YAML.

Under the loader: `document` (YAML), `fields` (properties and their ids), `rules` (quality rules), `problems` (what is
wrong, collected).
"""

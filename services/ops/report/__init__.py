"""The page about a pipeline: its values (`model`), those of a deployment (`deployment`), how they look (`page`)."""

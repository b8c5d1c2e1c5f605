"""The workbench: try, infer and query on one machine, in process. It imports `services` and nothing else of smelt.

No function of a deployment needs it. Only what runs on a person's machine imports it: `local` and the benchmarks.
"""

"""`smelt report` over folders of Silver and quarantine: those of a trial, of a demo, or copied from a bucket."""

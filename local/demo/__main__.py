"""`python -m local.demo [FOLDER]`: the demo as a program. It imports only what it must before Ctrl-C is quiet."""

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while packages are imported; `run` handles it from then on
    from local.demo.command import demo
    from services.ops.cli.console import run

    run(demo)

"""`python -m local.demo [FOLDER]`: the demo as a program. It imports only what it must before Ctrl-C is quiet."""

import signal

if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored, as behind `&`
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while packages are imported; `run` handles it from then on
    from local.demo.command import demo
    from services.ops.cli.console import run

    run(demo)

"""`python -m render`, the same as the console script."""

import signal

# Until the command line listens itself, there is nothing to clean up: Ctrl-C ends the process without a traceback.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from render.cli import main

main()

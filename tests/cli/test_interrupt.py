"""Ctrl-C ends a command at any moment."""

import subprocess
import sys

# Python discards what a weakref callback raises; importlib runs one after each import.
SCRIPT = """
import os, signal, sys, time, weakref
from voicecore.cli.app import main

class Thing: pass

sys.argv = ["voicecore", "--help"]
try:
    main()
except SystemExit:
    pass
thing = Thing()
callback = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
try:
    del thing
    time.sleep(20)  # only without the repetition
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_that_python_discards_is_repeated() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")

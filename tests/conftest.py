"""What holds for all tests."""

import os
import signal

from hypothesis import settings

from codistill.caching import CACHE

settings.register_profile("suite", deadline=None)  # a busy machine is no failure
settings.load_profile("suite")

os.environ[CACHE] = ""  # what one run of the suite found is not taken over by the next

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell's background jobs have it, and their children
    signal.signal(signal.SIGINT, signal.default_int_handler)

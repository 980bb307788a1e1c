"""``python -m fastmlp``: fit a table, predict with a saved model, render a report."""

import sys

from fastmlp.app.command_line import main

if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""`coordinator resubmit` as a script; --help lists the flags."""

import sys

from coordinator.cli import main

if __name__ == "__main__":
    sys.exit(main(["resubmit", *sys.argv[1:]]))

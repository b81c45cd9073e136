#!/usr/bin/env python3
from scdnet.__main__ import run_verb

if __name__ == "__main__":
    run_verb("prepare synthetic")

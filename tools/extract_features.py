#!/usr/bin/env python3
from scdnet.cli import run_command
from scdnet.commands.extract import main

if __name__ == "__main__":
    run_command(main)

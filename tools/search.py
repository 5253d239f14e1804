"""The whole way from teachers to TFLite: `python tools/search.py --flagfile=configs/quickstart.cfg`.

Runs every stage, or those that --stages names. Stages that are complete are not run again.
"""

from okd_tf import cli

if __name__ == "__main__":
    cli.main()

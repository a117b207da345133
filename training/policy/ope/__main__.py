"""The command python -m training.policy.ope TABLE.csv: see `training.policy.ope.ope`."""

import sys

from training.policy.ope.ope import main

if __name__ == "__main__":
    sys.exit(main())

"""``python -m holdfast.demo`` runs the demo."""

import sys

from holdfast.demo.run import run_demo

if __name__ == "__main__":
    sys.exit(run_demo(host="127.0.0.1", port=7417, data_dir=".holdfast/demo", open_browser=True))

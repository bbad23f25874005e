"""Runs a round again and again until the file $STOP is there, or once with $ONCE."""
import json
import os
import sys
import time


def run(do):
    while not os.path.exists(os.environ["STOP"]):
        try:
            do()
            said = {"ok": True}
        except Exception as e:
            said = {"ok": False, "error": f"{type(e).__name__}: {e}"[:600]}
        print(json.dumps(said), flush=True)
        if os.environ.get("ONCE"):
            break
        time.sleep(0.3)
    sys.exit(0)

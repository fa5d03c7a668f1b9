"""Run a gateway that sends each datagram alone, to measure what segmentation saves: `python -m gateway`'s arguments."""

import runpy

from gateway.listeners import segments

segments.LARGEST = 0  # of no datagram: all are larger

if __name__ == "__main__":
    runpy.run_module("gateway", run_name="__main__", alter_sys=True)

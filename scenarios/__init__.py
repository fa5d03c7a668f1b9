"""Scenarios: stories in YAML that are acted out against real servers, and judged.

`sentences.py` is the language, `story.py` reads a file, `runner.py` acts it out, `expect.py` judges what members
received, `report.py` prints. `cluster.py` and `process.py` start the servers; tests, chaos and benchmarks use them too.
"""

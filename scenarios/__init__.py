"""Scenarios: stories in YAML, played against real servers with SDK clients, and judged.

`sentences.py` is the language, which `story_file.py` reads into `steps.py` and `story.py`. `runner.py` plays the steps
with `actors.py`; `expectations.py` waits for what members must receive, and `verdicts.py` judges it. `cluster.py` and
`process.py` start the servers; tests, chaos and benchmarks use them too.
"""

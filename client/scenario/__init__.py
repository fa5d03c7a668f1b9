"""Scenarios: stories in YAML that are acted out against real servers, and judged.

`sentences.py` describes the language, `story.py` reads it, `expect.py` judges, `report.py` tells; `client.net.stage`
acts.
"""

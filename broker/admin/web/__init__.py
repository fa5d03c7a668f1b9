"""The operator's page: a small HTTP server in a process of its own, which asks the broker as the command line does.

It can do what the command line can, and no service changes for it. A listener in the broker would have an operator's
rights in the process that must not fail, and would need a key of its own to ask other brokers. `http.server` in threads
suits it: an operator has few pages, and a question waits for the broker. What happened before the page was opened comes
from the broker's samples (`../samples.py`); `page/numbers.js` computes percentiles from the histograms' buckets. A list
rests a hundred times as long as its answer took (`page/main.js`), as the broker's members wait while it is made.
"""

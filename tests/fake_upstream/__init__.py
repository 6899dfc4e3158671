"""A model provider that makes everything up, in a process of its own: for tests of the gateway, and to measure it.

It speaks Chat Completions, Responses, Anthropic messages (each streamed and whole), embeddings and the list of models.
What it says is the same each time; how it says it is set by **knobs** (``knobs.py`` names all of them):

    python -m tests.fake_upstream --port 0 --tokens 20 --gap 5      # prints one line: http://127.0.0.1:41234

Knobs come from four places; the later wins:

1. the command line, or ``POST /always`` with a JSON object: all requests from now on;
2. ``POST /next`` with a JSON list of objects: one request each, in the order in which they arrive. ``null`` changes nothing;
3. the address: ``http://127.0.0.1:41234/with/status=529,retry_after=1`` is a base URL whose requests all have these knobs,
   so that two upstreams of one gateway can differ;
4. the text of the request: ``[[fake tokens=50 gap=10 cut=7]]`` anywhere in its body, which passes through any gateway.

It keeps the truth, to which bills can be compared (``truth.py``): ``GET /stats`` has the totals and every request with
what was generated, what was delivered, how it ended and whether usage was reported. ``POST /reset`` forgets all of it.
``GET /stats?wait=3`` answers when three requests have ended, so that a test waits for them and never for time.

In a test::

    with FakeUpstream() as fake:                    # a process; process.py
        fake.next({"status": 429, "retry_after": 1}, {"cut": 5})
        ...
        assert fake.stats(ended=2).requests[-1].outcome == "cut"
"""

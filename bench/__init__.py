"""The benchmark: what a request costs in the gateway, beside what it costs elsewhere.

Run it with ``make bench`` or ``python -m bench``; ``--quick`` is a short pass, ``--list`` names the
scenarios. What counts is the CPU time of all the proxy's processes, not requests per second: on a
small machine the load generator shares the cores, and throughput measures it too.

The load is closed-loop and saturating, so p50 and p99 tell how long a queue of that many
connections is, not how long an unhurried request takes. Compare them with each other only.
"""

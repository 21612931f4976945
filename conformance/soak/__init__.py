"""The soak: many guests in many threads for a long time, benign ones and such that want out, and signals at any moment.

    python -m conformance.soak --duration 20m --threads 4
    python -m conformance.soak signals --count 2000

``images`` and ``programs`` are the guests, ``stories`` what a thread does with them, ``crew`` the threads and who watches
them, ``resources`` what may not grow, ``run`` the process that watches the process, ``telling`` what people
see of it; ``shots`` and ``targets`` are about signals.
"""

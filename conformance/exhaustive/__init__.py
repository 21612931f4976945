"""Every encoding through the translator, and what is not refused on the processor.

    python -m conformance.exhaustive                     all of it: some 15 minutes on two processors
    python -m conformance.exhaustive --part vex --jobs 1
    python -m conformance.exhaustive --store all.jsonl   goes on where it was ended

:mod:`~conformance.exhaustive.space` says what is enumerated, and in which order; the :mod:`~conformance.exhaustive.judge`
finds out what decoder, translators and capstone make of an encoding; :mod:`~conformance.exhaustive.run` executes what the
translator admits, natively and on the reference engine, in a state that lets most of it succeed and in one that lets
operands in memory fail.
"""

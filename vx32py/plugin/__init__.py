"""Plug-ins: guests as libraries, and guests as decoders of streams.

Guests as libraries (docs/plugins.md), in the order to read them: ``signatures`` (what functions take and return),
``declarations`` (what a plug-in says of itself), ``frames`` (how arguments and results lie in memory), ``plugin`` (a call),
``loading``, ``pointer``, ``arena``, ``errors``. Streams: ``stream``, ``pool``.
"""

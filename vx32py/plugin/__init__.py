"""Plug-ins: guests as libraries, and guests as decoders of streams."""

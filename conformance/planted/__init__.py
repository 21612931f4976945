"""Planted bugs: what a campaign is worth is what it finds.

    python -m conformance.planted                      every bug, one after the other, and a control without any
    python -m conformance.planted stencil operands     these

One bug after the other is planted in memory (:mod:`.bugs`); the ordinary campaign must find it within two minutes, and the
reducer must bring it down to three instructions or fewer (:mod:`.hunt`). A control without a bug must find nothing.
"""

"""Archives of an enemy: forged, damaged and mutated ones, and what must hold whatever comes out of them."""

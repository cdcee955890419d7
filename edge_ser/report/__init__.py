"""A page about a bundle: how it was proved, for whoever must sign."""

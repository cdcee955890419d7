"""How well a bundle's answers agree with labels, and with other answers to the same clips."""

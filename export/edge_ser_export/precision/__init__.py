"""Lower precision, with the evidence that it is one."""

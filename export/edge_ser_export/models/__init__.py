"""The joint model: what it is made of, as reference and in its deployment form."""

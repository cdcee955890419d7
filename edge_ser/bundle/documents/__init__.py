"""What a bundle tells of itself: model card, bill of materials, uses and duties."""

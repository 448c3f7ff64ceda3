"""What is seen of a control plane while it works."""

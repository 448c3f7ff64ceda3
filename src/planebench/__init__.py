"""Performance evaluation of a single Kubernetes control plane: real components, simulated nodes, no Docker."""

__version__ = "0.1.0"

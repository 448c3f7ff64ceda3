"""A control plane of local processes: certificates, ports, start order, supervision, teardown."""

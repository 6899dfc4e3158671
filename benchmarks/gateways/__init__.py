"""What stands between a caller and the fake upstream in ``benchmarks/gateway.py``, and the load."""

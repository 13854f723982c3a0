"""The rules of claims, leases and outcomes, told a second time, and held against leek's own."""

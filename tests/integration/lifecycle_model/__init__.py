"""The rules of claims, leases and outcomes, told a second time and held against leek's own.

Each step is done to leek and to the model, in any order; then tables and model are compared.
"""

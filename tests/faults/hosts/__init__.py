"""Several hosts on one machine, and what leek promises there."""

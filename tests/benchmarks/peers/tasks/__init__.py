"""What the peers run: one task that notes when it started, declared as each of them wants it."""

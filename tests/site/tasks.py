"""What the tests push."""

def noop(): pass

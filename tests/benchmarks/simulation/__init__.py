"""A fleet of servers at one database as discrete events, with leek's own rules of claiming."""

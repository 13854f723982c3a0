"""Tasks that are relayed to Celery, over real brokers."""

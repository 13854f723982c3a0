"""leek beside other task queues, measured in one run on one machine.

    python -m tests.benchmarks.peers [--only NAME ...] [--rounds 3] [--markdown FILE | --json FILE]

Each queue is measured twice on each of its databases: as its own quick start has it ("installed"),
and with the options that its documentation offers for more throughput ("best").
"""

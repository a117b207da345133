"""The shared kernel: the messages between services, and the ports (bus, store, web) through which services work.

What only one service needs does not belong here.
"""

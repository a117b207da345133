"""The shared kernel: what services may say to each other, and the ports they say and remember it through.

What only one service needs does not live here.
"""

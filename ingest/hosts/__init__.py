"""The hosts of a list: finds them, asks each for its robots.txt, and gives each partition the answers of its hosts.

Used from outside: hosts_in_tasks, robots.
"""

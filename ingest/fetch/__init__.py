"""Turns a URL into bytes, or into the reason why there are none: host limits, robots.txt, redirects, retries, deadline.

Used from outside: fetcher, robots_cache, robots_rules.
"""

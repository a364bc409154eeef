"""Makes single HTTP requests to untrusted hosts: bounded in size and time, to public addresses only.

Used from outside: accept_header, answers, client, idn, opt_out, proxy, public_addresses, retries, single_request, urls,
usage_signals.
"""

"""Makes single HTTP requests to untrusted hosts: bounded in size and time, to public addresses only."""

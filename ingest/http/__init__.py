"""HTTP requests to hostile hosts: bounded, to public addresses only, answers judged."""

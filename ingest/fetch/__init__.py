"""From a URL to bytes or to the reason why there are none: politeness, robots.txt, retries."""

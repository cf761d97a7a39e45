"""`segbench compare`: two methods, their differences and where these lie."""

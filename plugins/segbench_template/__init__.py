"""What `segbench new` copies: a complete package for each kind of component."""

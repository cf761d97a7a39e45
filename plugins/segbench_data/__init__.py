"""First-party components: data/."""

"""First-party components: basic/."""

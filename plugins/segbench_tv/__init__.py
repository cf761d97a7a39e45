"""First-party components: tv/."""

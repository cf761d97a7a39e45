"""First-party components: losses/."""

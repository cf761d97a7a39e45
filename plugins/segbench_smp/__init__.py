"""First-party components: smp/."""

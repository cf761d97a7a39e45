"""How well generated images match real ones."""

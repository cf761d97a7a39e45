"""Plugins, the components they offer and the options of those."""

"""The page: a report as one HTML file that works offline."""

"""Reports for people: pages, tables and plots of a finished run."""

"""What a browser shows: a run as a report, a network as a page, records in VisualDL."""

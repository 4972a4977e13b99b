"""Files for other programs: summary.json, tables, and traces."""

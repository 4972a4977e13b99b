"""One file per verb. The only place that may import everything, and where errors become exit statuses."""

"""Why two sides' accuracies differ: the cross of schedule and initialisation, its sealed predictions, its answers."""

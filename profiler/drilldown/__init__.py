"""From a phase to its layers and operators, in runs of their own: their times never enter the bars."""

"""Tools about a store and a machine: training at single points, checks of the machine, an inventory of what is kept."""

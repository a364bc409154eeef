"""What a training run is made of; `tagmill.train` puts it together.

Used from outside: checkpoint, config, evaluation, losses, metrics, models, optimiser, plan, recipe, schedule, slices, stop.
"""

"""Questions that take several trainings: which recipe is better, which labels are wrong."""

"""Running a sweep: the controller's loop, its workers, and what they need to begin."""

"""The paper on one screen each: schedule, solver, trajectory, guidance, identity, and the main path. Pure torch."""

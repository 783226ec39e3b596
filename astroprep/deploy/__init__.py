"""The bundle that goes to the telescope, and what runs it without torch."""

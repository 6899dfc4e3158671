"""Who is who: an organisation, its teams, workflows, people and cost centres, as they stood on each day."""

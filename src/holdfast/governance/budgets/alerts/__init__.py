"""Delivery people of budgets before their money ends, and of days that are unlike others."""

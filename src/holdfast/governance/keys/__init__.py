"""Who calls: keys that say what a call is for, shown once and stored hashed; and who came without one."""

"""What `chuk doctor --deep` finds, against what is really there or stands in for it."""

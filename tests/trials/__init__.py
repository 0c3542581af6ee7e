"""The scripts that give the server hard days work, and know a bad day from a good one."""

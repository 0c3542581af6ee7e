"""What every request passes, over real connections."""
